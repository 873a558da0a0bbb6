"""The policy in force, and the rows that platform staff set."""
