"""What the trigger's tests do with repos and runs."""

from __future__ import annotations

from kfp_pachyderm.pachyderm.references import Reference, commit_message, repo_message
from kfp_pachyderm.sdk import pfs


def make_repo(pachd, repo):
    pachd.pfs.create_repo(repo=repo_message("default", repo))


def put(pachd, repo, branch="master", error=""):
    where = pfs.Branch(repo=repo_message("default", repo), name=branch)
    commit = pachd.pfs.start_commit(branch=where)
    file = pfs.AddFile(path="/a", raw=commit.id.encode())
    pachd.pfs.modify_file(
        iter([pfs.ModifyFileRequest(set_commit=commit), pfs.ModifyFileRequest(add_file=file)])
    )
    pachd.pfs.finish_commit(commit=commit, error=error, force=bool(error))
    return f"default/{repo}@{commit.id}"


def started(api):
    """The commits that runs were started with, in their order."""
    return [one["runtime_config"]["parameters"]["images"] for one in api.runs]


def metadata(pachd, commit):
    project, _, rest = commit.partition("/")
    repo, _, version = rest.partition("@")
    info = pachd.pfs.inspect_commit(commit=commit_message(Reference(project, repo, version)))
    return dict(info.metadata)
