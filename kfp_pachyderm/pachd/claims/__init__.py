"""What a step takes hold of before its job begins: commits, a pipeline, the next job."""
