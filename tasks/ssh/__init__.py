"""SSH: one connection to a machine, and what goes over it."""
