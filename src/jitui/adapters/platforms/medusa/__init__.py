"""Medusa 2 behind both ports, by its admin interface: what the tests in `tests/platforms/medusa` met for real, 2.21.2.

Medusa has no key against a second refund. One attempt asks once (`jitui.aftersales.operations.platform_refunds`), and
its refund is found again by its note.
"""
