"""Branches that follow others by conditions."""
