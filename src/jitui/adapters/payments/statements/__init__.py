"""Statements of payment providers, one module per format; each turns lines into rows of the core."""
