"""What `verify` found, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.provenance.check.model import Verified
from kfp_pachyderm.provenance.graph.views.wording import plain, size


def lines(found: Verified) -> Iterator[str]:
    """A line for each fault and for each thing that could not be looked at, and a line with the totals."""
    for fault in found.faults:
        yield f"FAULT {fault.kind}: {fault.commit}: {plain(fault.text)}"
    for unseen in found.unseen:
        yield f"NOT SEEN: {unseen.commit}: {plain(unseen.text)}"
    yield _sum(found)


def _sum(found: Verified) -> str:
    steps = [one for one in found.commits if one.is_step]
    files, bytes_ = sum(one.files for one in steps), sum(one.size for one in steps)
    looked = f"{_count(len(found.commits), 'commit')} looked at, {_count(len(steps), 'record')}"
    compared = f"{looked}, {_count(files, 'file')} ({size(bytes_)}) compared"
    if not found.ok:
        return f"{found.of} is not what {_its(found)}: {_count(len(found.faults), 'fault')}; {compared}"
    return f"{found.of} is what {_its(found)}{_digest(found)}; {compared}"


def _its(found: Verified) -> str:
    return "its record says" if found.of == str(found.commits[0].commit) else "its commits' records say"


def _digest(found: Verified) -> str:
    first = found.commits[0]
    if found.of != str(first.commit) or not first.digest:
        return ""
    return f" (record_digest {first.digest}, as in KFP's artifact)"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
