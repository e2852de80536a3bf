"""`verify` compares commits with their records."""
