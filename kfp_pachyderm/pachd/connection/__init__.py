"""The connection to pachd: its address, calls, errors, polling."""
