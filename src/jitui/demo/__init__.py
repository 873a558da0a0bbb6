"""The demo: a sample marketplace on the running service; replays of real histories; and simulations of faults."""
