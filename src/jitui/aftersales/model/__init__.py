"""The values of an order and its tickets, and what they say of themselves."""
