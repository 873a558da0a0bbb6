"""The start page, the ways to sign in, and one's own account."""
