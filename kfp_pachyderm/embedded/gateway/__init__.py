"""The sidecar's S3 gateway as Pachyderm's own answers, faults included."""
