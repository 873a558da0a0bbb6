"""PostgreSQL, 15 and newer: the only database (decision 0001)."""
