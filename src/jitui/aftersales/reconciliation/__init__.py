"""The books against a provider's own records."""
