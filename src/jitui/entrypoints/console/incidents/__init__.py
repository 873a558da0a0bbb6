"""Incidents for merchants and the platform: goods that left after their refund, and what becomes of the loss (R9)."""
