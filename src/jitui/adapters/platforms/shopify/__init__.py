"""Shopify behind both ports, by its GraphQL Admin API 2026-04; never met for real, tried against its documented form.

Units are put on hold before the refund, and the refund itself takes them out of what is to be shipped. A hold of ours
is never released by us: what is left on hold after a refund that failed is a matter of a person, to whom the buyer was
promised money.
"""
