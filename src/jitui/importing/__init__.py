"""Files as orders, payments, shipments, buyers and history: what their fields mean, and loading them."""
