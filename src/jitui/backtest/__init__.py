"""A policy over a history: what would have happened. Knows the policy and the past, never the running service."""
