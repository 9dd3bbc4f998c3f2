"""What the cluster should be: data, its typed form, and everything that follows from it."""
