"""What can be done to an order: each command plans purely from a snapshot and returns changes."""
