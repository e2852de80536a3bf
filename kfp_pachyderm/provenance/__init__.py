"""What is known about one step: as a record, as metadata on both sides, as a page."""
