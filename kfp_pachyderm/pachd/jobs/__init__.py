"""Pachyderm jobs: watches and ends them, and finds their addresses."""
