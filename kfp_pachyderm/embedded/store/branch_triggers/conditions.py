"""Checks the conditions of a branch trigger.

Source: Pachyderm src/server/pfs/server/server_branch.go, validateTrigger.
"""

from __future__ import annotations

import re
from typing import Any

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.branch_triggers.schedule import parse

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kKmMgGtTpP])?(?:[iI]?[bB])?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def size_of(text: str) -> int:
    """Bytes of a size as Go's units.FromHumanSize reads it: every unit is decimal, KiB, too.

    Raises:
        Refused: the text is no size.
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise Refused(f"invalid trigger size: invalid size: '{text}'")
    return int(float(found[1]) * 1000 ** _POWERS[(found[2] or "").lower()])


def check(trigger: dict[str, Any]) -> None:
    """Refuses conditions that can't be met, in Pachyderm's words."""
    if trigger.get("cronSpec"):
        raise Refused("cron triggers are not implemented by the embedded Pachyderm", "UNIMPLEMENTED")
    if trigger.get("rateLimitSpec"):
        parse(trigger["rateLimitSpec"])
    if trigger.get("size"):
        size_of(trigger["size"])
    if int(trigger.get("commits") or 0) < 0:
        raise Refused("can't trigger on a negative number of commits")
