"""Imports files as orders, payments, shipments, buyers and history."""
