"""What Pachyderm speaks, written and read by hand; no connection, no storage."""
