"""The graph of what was made from what: found in Pachyderm alone, and shown as text, JSON, Mermaid and a page."""
