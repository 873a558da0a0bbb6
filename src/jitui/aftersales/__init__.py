"""The after-sales core: tickets, refunds and shipments. It declares the ports that the adapters implement."""
