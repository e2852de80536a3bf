"""The example of Pachyderm's documentation, verbatim ("Create an S3-enabled Pipeline"); a sample runs it."""

from pathlib import Path

DOCUMENTED = (Path(__file__).parents[1] / "samples" / "existing" / "spec.json").read_text()
