"""Pipelines and jobs: what they are and how they change; running them is the worker's."""
