"""The error of a call from the adapter to Pachyderm."""

from __future__ import annotations


class CallFailedError(Exception):
    """A call to Pachyderm failed.

    Args:
        words: Pachyderm's answer, as text for the user.
        temporary: whether the same call may succeed later.
    """

    def __init__(self, words: str, temporary: bool) -> None:
        super().__init__(words)
        self.temporary = temporary
