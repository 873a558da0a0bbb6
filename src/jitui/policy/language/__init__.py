"""Expressions: checked trees, the runtime, and their wording."""
