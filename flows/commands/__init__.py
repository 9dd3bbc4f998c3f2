"""What each command does, in one module for each group of :mod:`flows.cli`; none is imported before it is run."""
