"""Pytest plugin: the fixture `pachyderm`, a fresh embedded Pachyderm."""
