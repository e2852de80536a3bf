"""One program for each client."""
