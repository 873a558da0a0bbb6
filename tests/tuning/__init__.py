"""Tuning a policy's parameters."""
