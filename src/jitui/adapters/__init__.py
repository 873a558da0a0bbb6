"""Adapters to databases, payment providers and platforms. Adapters never import one another."""
