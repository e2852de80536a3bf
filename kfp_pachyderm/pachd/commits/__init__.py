"""Commits: what they hold, what they were made from, how one is made."""
