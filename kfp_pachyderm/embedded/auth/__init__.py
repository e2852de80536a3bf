"""Pachyderm's auth: tokens, roles, role bindings. It is off until somebody activates it."""
