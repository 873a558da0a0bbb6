"""Webhooks out: endpoints, and how events of the feed come to them (Standard Webhooks, CloudEvents)."""
