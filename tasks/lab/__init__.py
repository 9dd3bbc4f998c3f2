"""The lab: a cluster's machines as containers of this one."""
