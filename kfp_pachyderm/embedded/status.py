"""Refusals of the embedded Pachyderm: a gRPC status by name and Pachyderm's own text."""

from __future__ import annotations


class Refused(Exception):
    """A request that Pachyderm answers with an error.

    Args:
        text: what the client reads; Pachyderm's own words where clients match on them.
        code: name of the gRPC status. UNKNOWN is what Go's plain errors become on the wire.
    """

    def __init__(self, text: str, code: str = "UNKNOWN") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def not_found(text: str) -> Refused:
    """The refusal of a request for a thing that does not exist."""
    return Refused(text, "NOT_FOUND")


def exists(text: str) -> Refused:
    """The refusal of a request to make a thing that exists already."""
    return Refused(text, "ALREADY_EXISTS")


def invalid(text: str) -> Refused:
    """The refusal of a malformed request."""
    return Refused(text, "INVALID_ARGUMENT")
