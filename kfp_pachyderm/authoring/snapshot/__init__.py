"""One run, one snapshot of its inputs, taken by a task of its own."""
