"""One job's run: its waits, its datums, its sidecar, what interrupts it and what it writes to the store."""
