"""`Finding`: the result of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        check: the name of the check, as in "token".
        state: "ok"; "warning": steps may work; "error": steps will fail.
        text: what the check saw.
        repair: what the user has to do; "" with "ok".
        looked: False if the check could not be made, so that its result is unknown.
    """

    check: str
    state: State
    text: str
    repair: str = ""
    looked: bool = True

    def json(self) -> dict[str, Any]:
        """Returns the finding as a dict, for JSON."""
        return asdict(self)


def ok(check: str, text: str) -> Finding:
    """Makes a finding of state "ok"."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, repair: str) -> Finding:
    """Makes a finding of state "warning": steps may work."""
    return Finding(check, "warning", text, repair)


def error(check: str, text: str, repair: str) -> Finding:
    """Makes a finding of state "error": steps will fail."""
    return Finding(check, "error", text, repair)


def not_looked(check: str, why: str, repair: str = "") -> Finding:
    """Makes a warning for a check that could not be made, so that its result is unknown."""
    return Finding(check, "warning", f"could not look: {why}", repair, looked=False)
