"""Backups of clusters: files that are encrypted to a key, and what is in them. Nothing here asks a machine."""
