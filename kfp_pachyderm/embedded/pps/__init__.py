"""Pipelines and jobs: what they are and how they change. `embedded/worker` runs the jobs."""
