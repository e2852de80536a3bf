"""Schedules as github.com/robfig/cron's ParseStandard reads them: five fields, "@every 10s" and the like."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_pachyderm.embedded.status import Refused

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
#: robfig/cron gives up on a schedule whose next moment is further away.
_YEARS = 5
#: The year 9999, in microseconds since 1970.
_NEVER = 253_370_764_800_000_000


@dataclass(frozen=True)
class Schedule:
    """When something is due.

    Args:
        next: returns the first moment after a given one; both in microseconds since 1970.
    """

    next: Callable[[int], int]


def parse(text: str) -> Schedule:
    """Parses a schedule.

    Raises:
        Refused: the text is no schedule.
    """
    text = text.strip()
    try:
        if text == "@never":
            return Schedule(lambda _: _NEVER)
        if text.startswith("@every "):
            return _every(text[len("@every ") :].strip())
        return _fields(_NAMED.get(text, text))
    except (ValueError, LookupError) as error:
        raise Refused(f"invalid trigger rate limit spec: {text!r}: {error}") from error


def _every(text: str) -> Schedule:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"failed to parse duration {text}")
    seconds = max(1, int(sum(float(number) * _UNITS[unit] for number, unit in parts)))
    # robfig/cron rounds to whole seconds.
    return Schedule(lambda after: (after // 1_000_000 + seconds) * 1_000_000)


def _fields(text: str) -> Schedule:
    fields = text.split()
    if len(fields) != len(_RANGES):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}")
    names: tuple[list[str], ...] = ([], [], [], _MONTHS, _DAYS)
    minutes, hours, days, months, weekdays = (
        _values(field, low, high, known)
        for field, (low, high), known in zip(fields, _RANGES, names, strict=True)
    )
    # If the day of the month and the day of the week are both restricted, one of them is enough.
    either = not any(field.startswith(("*", "?")) for field in (fields[2], fields[4]))

    def is_day(moment: datetime) -> bool:
        by_date, by_weekday = moment.day in days, moment.isoweekday() % 7 in weekdays
        return moment.month in months and (by_date or by_weekday if either else by_date and by_weekday)

    def following(after: int) -> int:
        at = datetime.fromtimestamp(after // 1_000_000, UTC).replace(second=0) + timedelta(minutes=1)
        end = at + timedelta(days=366 * _YEARS)
        while at < end:
            if not is_day(at):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in minutes:
                at += timedelta(minutes=1)
            else:
                return int(at.timestamp()) * 1_000_000
        return _NEVER

    return Schedule(following)


def _values(field: str, low: int, high: int, names: list[str]) -> set[int]:
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        start, _, end = span.partition("-")
        if span in ("*", "?"):
            first, last = low, high
        else:
            first = _number(start, low, names)
            last = _number(end, low, names) if end else high if step else first
        if not low <= first <= last <= high or (step and int(step) < 1):
            raise ValueError(f"{part} is not within {low}-{high}")
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _number(text: str, low: int, names: list[str]) -> int:
    return names.index(text) + low if text in names else int(text)
