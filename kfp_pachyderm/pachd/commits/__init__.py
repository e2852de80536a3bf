"""Commits: their files, their provenance, and how a new one is made."""
