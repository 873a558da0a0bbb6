"""The HTTP API: one table of operations is what is served, guarded, documented and tested."""
