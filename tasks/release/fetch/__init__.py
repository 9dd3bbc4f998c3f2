"""Fetching a release that is published, or that a mirror holds."""
