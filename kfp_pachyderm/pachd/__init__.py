"""The typed facade over pachyderm_sdk: connection, commit references, claims, jobs, lineage."""
