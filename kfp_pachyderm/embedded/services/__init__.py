"""Pachyderm's gRPC services over the store, at their names on the wire."""
