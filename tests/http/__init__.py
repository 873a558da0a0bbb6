"""The HTTP API, over a real PostgreSQL."""  # noqa: A005
