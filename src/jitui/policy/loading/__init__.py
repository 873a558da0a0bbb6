"""Loads a policy file, and reports every problem with its line."""
