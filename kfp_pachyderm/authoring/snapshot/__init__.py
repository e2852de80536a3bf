"""One run, one snapshot: which tasks of a pipeline it serves."""
