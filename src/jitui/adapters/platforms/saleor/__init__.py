"""Saleor behind both ports, by its GraphQL API from version 3.22 on; never met for real.

A refund is granted first and requested then. The grant carries our reference, and Saleor refuses to request the same
grant twice.
"""
