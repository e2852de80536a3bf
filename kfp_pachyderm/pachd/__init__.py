"""All calls to pachd, typed, over pachyderm_sdk's messages: connection, references, claims, commits, jobs."""
