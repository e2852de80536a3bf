"""Finds and removes what dead runs left in Pachyderm and on this machine."""
