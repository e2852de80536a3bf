"""What a check finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        check: what was looked at, "token".
        state: "ok"; "warning": steps may work; "error": they will not.
        text: what was seen.
        repair: what to do; "" for what is ok.
        looked: False where the check could not look, and so knows nothing.
    """

    check: str
    state: State
    text: str
    repair: str = ""
    looked: bool = True

    def json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, repair: str) -> Finding:
    """Steps may work all the same."""
    return Finding(check, "warning", text, repair)


def error(check: str, text: str, repair: str) -> Finding:
    """Steps will fail."""
    return Finding(check, "error", text, repair)


def not_looked(check: str, why: str, repair: str = "") -> Finding:
    """The check could not look: nothing is known."""
    return Finding(check, "warning", f"could not look: {why}", repair, looked=False)
