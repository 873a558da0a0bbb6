"""The commands on an order: each plans purely from a snapshot and returns changes."""
