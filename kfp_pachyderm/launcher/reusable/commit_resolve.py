"""`commit/resolve`: resolves a branch to its newest good commit, which the steps after it then read."""

from __future__ import annotations

from kfp_pachyderm.launcher.reusable.component_call import Call
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.references import resolve


def resolve_commit(call: Call) -> None:
    """Resolves the input `reference`."""
    reference = call.reference("reference")
    found = resolve(call.pachd, reference, call.deadline, say)
    call.record(found, {"reference": str(reference)})
