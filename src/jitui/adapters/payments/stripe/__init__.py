"""Stripe behind the port, through its own client library.

Source of the rules: docs.stripe.com, *Refunds*, *Idempotent requests*, *Advanced error handling*, *Error codes*,
*Currencies* and *Webhook signatures*, as of November 2026.
"""
