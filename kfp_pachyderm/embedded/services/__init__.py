"""Pachyderm's gRPC services over the store, with their names on the wire."""
