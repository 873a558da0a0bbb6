"""The entry points: HTTP API, console, command line, worker."""
