"""The store's one SQLite file."""
