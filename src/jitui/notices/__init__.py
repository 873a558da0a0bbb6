"""Notices: messages to buyers and shops about what happened to them, each at most once."""
