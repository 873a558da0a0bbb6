"""Statements of payment providers, each format in a module of its own: lines become rows of the core's."""
