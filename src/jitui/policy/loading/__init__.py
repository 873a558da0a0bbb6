"""A policy file as values, with every problem told at its line."""
