"""What every run has around it: its context, its log and record, and what Prefect shows of it."""
