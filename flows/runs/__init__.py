"""What is kept and told of a run: its log, its record, its artifacts, and who hears of its failure."""
