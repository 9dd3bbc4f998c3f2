"""The verbs that touch the world: one module per thing touched, one verb per function."""
