"""Measures what the service changes (R7): buyers whom chance held out against all others, by intention to treat."""
