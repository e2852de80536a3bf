"""Turns a message of the launcher into an event of the client library."""

from __future__ import annotations

from typing import Any

from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    set_producer,
)
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
)

import kfp_pachyderm
from kfp_pachyderm.openlineage.facts import Dataset, Facts

set_producer(f"https://pypi.org/project/kfp-pachyderm/{kfp_pachyderm.__version__}")


def event(facts: Facts) -> RunEvent:
    """Returns the event, with a facet for each known fact that the specification has a facet for."""
    return RunEvent(
        eventType=RunState[facts.event],
        eventTime=facts.time,
        run=Run(runId=facts.run_id, facets=_run_facets(facts)),
        job=Job(namespace=facts.scheduler, name=facts.job_name, facets={"jobType": _JOB_TYPE}),
        inputs=[
            InputDataset(namespace=facts.store, name=one.name, facets=_version(one)) for one in facts.inputs
        ],
        outputs=[
            OutputDataset(
                namespace=facts.store,
                name=facts.output.name,
                facets=_version(facts.output),
                outputFacets=_statistics(facts),
            )
        ],
    )


_JOB_TYPE = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="KFP", jobType="TASK")


def _run_facets(facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if facts.run:
        found["parent"] = _parent(facts)
    if facts.reason:
        found["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=facts.reason, programmingLanguage="PYTHON"
        )
    return found


def _parent(facts: Facts) -> parent_run.ParentRunFacet:
    name = facts.pipeline or facts.task
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=facts.parent_id),
        job=parent_run.Job(namespace=facts.scheduler, name=name),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=facts.parent_id),
            job=parent_run.RootJob(namespace=facts.scheduler, name=name),
        ),
    )


def _version(one: Dataset) -> dict[str, Any]:
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=one.version)}


def _statistics(facts: Facts) -> dict[str, Any]:
    if facts.size is None:
        return {}
    found = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        size=facts.size, fileCount=facts.files
    )
    return {"outputStatistics": found}
