"""Notices: messages to buyers, shops and operators about what happened to them, each at most once."""
