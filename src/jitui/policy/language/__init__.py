"""Expressions of a policy: syntax trees, evaluation, and error messages."""
