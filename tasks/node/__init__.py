"""One machine: what it is, what it lacks, and bringing it there."""
