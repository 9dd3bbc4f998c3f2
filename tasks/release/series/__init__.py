"""Patch series: where their commits come from, and picking them onto their base."""
