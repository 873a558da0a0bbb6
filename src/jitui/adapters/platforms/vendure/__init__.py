"""Vendure behind both ports, by its admin API: what the tests in `tests/platforms/vendure` met for real, 3.7.3.

Vendure has no key against a second refund. We write an order note before the refund and read it back: one attempt asks
once, whatever was lost (`docs/decisions/0052-a-platform-is-a-source-and-a-provider.md`).
"""
