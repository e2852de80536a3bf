"""What auth adds to pipelines and jobs: roles of the pipeline itself, a token for each job."""

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
    """Checks the right to make what was just made, in the same transaction, and binds the pipeline's roles.

    Raises:
        Refused: an input can't be read, the output not be written, or no repo be made in the project.
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
    """Lets a pipeline read its new inputs and no longer its former ones, and write its output."""
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
    """Takes a pipeline's rights to its inputs away."""
    if state.active(txn.db):
        bind_inputs(txn, None, pipeline)


def bind_existing(txn: Txn) -> None:
    """Gives pipelines from before the activation their roles (PPS's ActivateAuth)."""
    for key in pipelines.keys(txn.db):
        pipeline = pipelines.get(txn.db, key)
        # Of a pipeline whose input was deleted by force there is nothing left to bind.
        if all(state.binding(txn.db, state.of_repo(one)) is not None for one in input_repos(pipeline)):
            bind_inputs(txn, pipeline, None)


def give_tokens(txn: Txn) -> None:
    """Run last in every transaction: new jobs get a token while auth is on."""
    created = [event for event in txn.events if isinstance(event, jobs.Created)]
    if created and state.active(txn.db):
        for event in created:
            row = (new_id(), event.project, event.pipeline, txn.set_id)
            query = "UPDATE jobs SET token = ? WHERE (project, pipeline, id) = (?, ?, ?)"
            txn.db.execute(query, row)
