"""The values of an order and its tickets."""
