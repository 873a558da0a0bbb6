"""What an operator sees and does: refunds that nobody pays, conditions that somebody must look at."""
