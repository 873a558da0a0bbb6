"""Who is asking, and what is shown: HTTP API, console, command line, worker."""
