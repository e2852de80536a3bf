"""The embedded Pachyderm's data: one SQLite file, and chunk files for the content of large files."""
