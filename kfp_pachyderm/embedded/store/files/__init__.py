"""Files: their content in chunks, their listings in layers."""
