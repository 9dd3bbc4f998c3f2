"""Prefect's server: the one that is kept, one for a run alone, and what both are set to."""
