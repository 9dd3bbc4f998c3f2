"""The order in which the tasks happen."""
