"""Back-tests: what a policy would have decided over a history. It knows nothing of the running service."""
