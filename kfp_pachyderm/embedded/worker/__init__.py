"""Runs jobs: one queue for each pipeline, user code as real processes on this machine."""
