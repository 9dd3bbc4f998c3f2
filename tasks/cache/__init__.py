"""What is kept on this machine, and removing what nothing needs."""
