"""What auth adds to pipelines and jobs: a pipeline's roles on its inputs and output, a token for each job."""

from __future__ import annotations

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.auth.roles import PROJECT
from kfp_pachyderm.embedded.auth.state import Resource
from kfp_pachyderm.embedded.pps import inputs, jobs, pipelines
from kfp_pachyderm.embedded.pps.pipelines import Pipeline, PipelineKey
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id


def principal(key: PipelineKey) -> str:
    """The pipeline as a principal."""
    return f"pipeline:{key}"


def input_repos(pipeline: Pipeline | None) -> list[RepoKey]:
    """The repos that a pipeline reads."""
    found = inputs.pfs_inputs(pipeline.input) if pipeline is not None else []
    return list(dict.fromkeys(RepoKey(one.project, one.repo) for one in found))


def made(txn: Txn, key: PipelineKey, old: Pipeline | None) -> None:
    """Checks that the caller may make or update the pipeline, and binds its roles; rolls back with `txn`.

    Args:
        txn: the write transaction, in which the pipeline was made or updated already.
        key: the pipeline.
        old: its version before; None: it is new.

    Raises:
        Refused: the caller may not read an input, write the output, or make a repo in the project.
    """
    if not state.active(txn.db):
        return
    new = pipelines.get(txn.db, key)
    for repo in input_repos(new):
        guard.check_repo(txn.db, repo, "REPO_READ")
    if old is not None:
        guard.check_repo(txn.db, key.repo(), "REPO_WRITE")
    else:
        _create_output(txn, key)
    bind_inputs(txn, new, old)


def _create_output(txn: Txn, key: PipelineKey) -> None:
    prefix = f"error creating output repo for {key.name}: failed to create repo"
    try:
        guard.check(txn.db, Resource(PROJECT, key.project), "PROJECT_CREATE_REPO")
    except Refused as error:
        raise Refused(f"{prefix}: {error.text}", error.code) from error
    guard.own(txn, state.of_repo(key.repo()), "repoOwner")


def bind_inputs(txn: Txn, new: Pipeline | None, old: Pipeline | None) -> None:
    """Makes a pipeline reader of its new inputs, no longer of its former ones, and writer of its output."""
    current, former = input_repos(new), input_repos(old)
    pipeline = new or old
    if pipeline is None:
        return
    name = principal(pipeline.key)
    for repo in former:
        if repo not in current and state.binding(txn.db, state.of_repo(repo)) is not None:
            state.bind(txn, state.of_repo(repo), name, [])
    for repo in current:
        if repo not in former:
            guard.check_repo(txn.db, repo, "REPO_ADD_PIPELINE_READER")
            state.bind(txn, state.of_repo(repo), name, ["repoReader"])
    if new is not None and old is None:
        state.bind(txn, state.of_repo(new.key.repo()), name, ["repoWriter"])


def unbind(txn: Txn, pipeline: Pipeline) -> None:
    """Takes away a pipeline's roles on its inputs, if auth is on."""
    if state.active(txn.db):
        bind_inputs(txn, None, pipeline)


def bind_existing(txn: Txn) -> None:
    """Gives pipelines from before the activation their roles (PPS's ActivateAuth)."""
    for key in pipelines.keys(txn.db):
        pipeline = pipelines.get(txn.db, key)
        # A pipeline whose input repo was deleted by force is left out: that repo has no binding any more.
        if all(state.binding(txn.db, state.of_repo(one)) is not None for one in input_repos(pipeline)):
            bind_inputs(txn, pipeline, None)


def give_tokens(txn: Txn) -> None:
    """Gives each new job of a transaction a token, if auth is on. It runs last in every transaction."""
    created = [event for event in txn.events if isinstance(event, jobs.Created)]
    if created and state.active(txn.db):
        for event in created:
            row = (new_id(), event.project, event.pipeline, txn.set_id)
            query = "UPDATE jobs SET token = ? WHERE (project, pipeline, id) = (?, ?, ?)"
            txn.db.execute(query, row)
