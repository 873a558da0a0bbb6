"""How the outside is spoken to: databases, payment providers, platforms. Adapters never import one another."""
