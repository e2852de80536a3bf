"""The connection to pachd: address, calls, errors, waiting."""
