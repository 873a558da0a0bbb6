"""The HTTP API. One table of operations defines what is served, authorised, documented and tested."""
