"""Tools for software agents, by the Model Context Protocol: they speak to a running service over its HTTP API."""
