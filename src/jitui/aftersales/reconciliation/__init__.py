"""Compares our ledger with a provider's records."""
