"""Plans how several commits become one input, and refuses commits that can't be merged."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.adapter.encoding import decode, encode
from kfp_pachyderm.errors import MergeError
from kfp_pachyderm.launcher.resolve.inputs import Source
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.claims.gathering import Copied, Gathering, gather, refuse_foreign
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, commit_message
from kfp_pachyderm.pachd.sdk import pfs


def prepare(pachd: Pachd, project: str, source: Source) -> Gathering:
    """Plans the gathering of an input's commits; changes nothing in Pachyderm.

    Raises:
        MergeError: two commits of a merged input hold one key.
        PipelineNotOwnedError: the repo to gather in is not kfp-pachyderm's.
    """
    refuse_foreign(pachd, project, source.repo)
    encoding = source.commit(project).encoding
    distinct = tuple(dict.fromkeys(source.commits))
    if source.config.merge:
        _refuse_collisions(pachd, source.config.name, distinct)
    folders = source.config.many and not source.config.merge
    targets = [(f"/{index}/", one) for index, one in enumerate(source.commits)]
    copies = [
        copied
        for target, one in (targets if folders else [("/", one) for one in distinct])
        if one not in source.empty
        for copied in _copies(pachd, one, target, encoding)
    ]
    return Gathering(project, source.repo, tuple(copies), distinct, encoding)


def _copies(pachd: Pachd, commit: Reference, target: str, encoding: str) -> Iterator[Copied]:
    """Copies the commit whole; file by file where its paths must be encoded like the other commits'."""
    if encoding and not commit.encoding:
        paths = _paths(pachd, commit)
        # Encoding changes no path that Pachyderm holds, except one with a percent sign.
        if any("%" in path for path in paths):
            yield from (Copied(commit, path, target + encode(path[1:])) for path in paths)
            return
    yield Copied(commit, "/", target)


def _paths(pachd: Pachd, commit: Reference) -> list[str]:
    file = pfs.File(commit=commit_message(commit), path="/")
    walked = pachd.repeated(lambda: list(pachd.pfs.walk_file(file=file)), "WalkFile")
    return [one.file.path for one in walked if one.file_type == pfs.FileType.FILE]


def _refuse_collisions(pachd: Pachd, name: str, commits: tuple[Reference, ...]) -> None:
    """Raises where two commits hold one key, or one commit has a file where another has a folder."""
    keys, folders = dict[str, Reference](), dict[str, tuple[Reference, str]]()
    for commit in commits:
        for path in _paths(pachd, commit):
            key = decode(path[1:]) if commit.encoding else path[1:]
            parts = key.split("/")
            above = ["/".join(parts[:count]) for count in range(1, len(parts))]
            other = next((one for one in [key, *above] if keys.get(one, commit) != commit), None)
            if other is not None:
                raise _collision(name, (keys[other], other), (commit, key))
            if folders.get(key, (commit, ""))[0] != commit:
                raise _collision(name, folders[key], (commit, key))
            keys[key] = commit
            folders.update({one: (commit, key) for one in above if one not in folders})


def _collision(name: str, one: tuple[Reference, str], other: tuple[Reference, str]) -> MergeError:
    what = "the key" if one[1] == other[1] else f"{one[1]!r} in the way of"
    return MergeError(
        f"input {name!r} is merged into one bucket, but two of its commits hold {what} {other[1]!r}: "
        f"{one[0]} and {other[0]}; have the steps write other keys, or leave out merge=True and read them "
        "by folder"
    )


def gather_all(
    pachd: Pachd, project: str, sources: tuple[Source, ...], prepared: list[Gathering | None], deadline: float
) -> list[Reference]:
    """Gathers what was planned; returns the one commit that each input's bucket or folder shows.

    Raises:
        PachydermError: pachd's last error.
    """
    found = []
    for one, wanted in zip(sources, prepared, strict=True):
        if wanted is None:
            found.append(one.commit(project))
            continue
        say(f"input {one.config.name}: gathering {len(wanted.commits)} commits in {wanted}")
        found.append(gather(pachd, wanted, deadline, say))
    return found
