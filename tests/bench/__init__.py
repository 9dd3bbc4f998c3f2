"""Measurements that a person makes by hand on a machine that does nothing else; see each module. No tests."""
