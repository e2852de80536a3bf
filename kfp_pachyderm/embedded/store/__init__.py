"""The embedded Pachyderm's data: SQLite for what is known of files, chunk files for what is in them."""
