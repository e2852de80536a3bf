"""Somebody else's component, of which you have only the YAML file, as an S3-enabled Pachyderm job.

KFP's compiler made component.yaml of the other team's code. The component reads one S3 bucket and writes
another. Once it is loaded and wrapped, these buckets are the job's input and output. The file is not changed.
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
