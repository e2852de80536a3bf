"""How calls to Pachyderm fail."""

from __future__ import annotations


class CallFailedError(Exception):
    """A call to Pachyderm failed.

    Args:
        words: what it answered.
        temporary: whether the same call may work a moment later.
    """

    def __init__(self, words: str, temporary: bool) -> None:
        super().__init__(words)
        self.temporary = temporary
