"""Command line tools as clients."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory


def call(*command: str, data: bytes | None = None) -> bytes:
    """The command's output; if the command fails, its output is the error's text."""
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip()[-300:])
    return done.stdout


def pipe(command: list[str], pieces: Iterator[bytes]) -> None:
    """Runs the command with the pieces as its input, one after the other."""
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        for piece in pieces:
            process.stdin.write(piece)
        process.stdin.close()
    assert process.returncode == 0, f"exit code {process.returncode}"


class Files:
    """A folder for tools that read and write only files."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self.path = Path(self._folder.name)

    def holding(self, data: bytes) -> str:
        path = self.path / "upload"
        path.write_bytes(data)
        return str(path)
