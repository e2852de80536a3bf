"""The sidecar's S3 gateway. It answers as Pachyderm's own does, faults included."""
