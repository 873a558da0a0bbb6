"""What happens between a buyer's request and the money: tickets, refunds, shipments. Owns the ports it needs."""
