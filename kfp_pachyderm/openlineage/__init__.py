"""OpenLineage events of a step, sent by the official client library in a process of its own."""
