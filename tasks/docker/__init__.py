"""The Docker engine of this machine, and what is asked of it."""
