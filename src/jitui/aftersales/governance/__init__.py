"""Which policy is in force, and what platform staff switch on and off."""
