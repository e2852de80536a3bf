"""The snapshot: a task of each run that resolves the branches its steps read."""
