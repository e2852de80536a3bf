"""The lineage graph, read from Pachyderm alone, and its views: text, JSON, Mermaid, an HTML page."""
