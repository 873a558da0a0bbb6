"""Tunes a policy's parameters on a history: what more could be refunded at once, and at what loss."""
