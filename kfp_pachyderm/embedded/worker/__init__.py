"""Runs jobs: one queue per pipeline, user code as real processes on this machine."""
