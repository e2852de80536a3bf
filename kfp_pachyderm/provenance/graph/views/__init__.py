"""A lineage as text, JSON, Mermaid, an HTML page, a notebook's card."""
