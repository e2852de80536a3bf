"""Somebody else's component, of which there is nothing but its YAML, as an S3-enabled Pachyderm job.

component.yaml is what KFP's compiler made of the other team's code. It reads one S3 bucket and writes
another; loaded and wrapped, the buckets are the job's input and output. The file stays as it is.
"""

from pathlib import Path

from kfp import components, dsl

import kfp_pachyderm as pachyderm

theirs = components.load_component_from_file(str(Path(__file__).with_name("component.yaml")))
summarize = pachyderm.s3_enabled(theirs, inputs=[pachyderm.S3Input("tables")])


@dsl.pipeline(name="summaries")
@pachyderm.pipeline(project="statistics")
def summaries(tables: str = "tables@master") -> int:
    """Summarizes a commit of the repo `tables`; returns how many rows there are."""
    return summarize(tables=tables).output
