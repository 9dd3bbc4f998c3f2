"""What follows from a cluster, a release and what a machine says of itself: the state that each node is to have."""
