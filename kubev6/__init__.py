"""The program that a person types: its commands, what shows while they run, reports, and Prefect's server."""
