"""A sample marketplace on the running service, and real histories driven through it."""
