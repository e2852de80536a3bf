"""The graph of what was made from what: from Pachyderm alone, as text, JSON, Mermaid and a page."""
