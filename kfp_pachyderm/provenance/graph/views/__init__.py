"""A lineage as text, JSON, Mermaid, a page, a notebook's card."""
