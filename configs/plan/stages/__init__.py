"""What each stage of a node looks like, one module for each stage."""
