"""The server's greeting for a person at its terminal (address, clients, contents), and its log's format."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from kfp_pachyderm.embedded.auth import startup, state
from kfp_pachyderm.embedded.server import EmbeddedServer

_COUNTS = {
    "projects": "SELECT count(*) FROM projects",
    "repos": "SELECT count(*) FROM repos WHERE type = 'user'",
    "commits": "SELECT count(*) FROM commits c JOIN repos r ON r.id = c.repo WHERE r.type = 'user'",
    "pipelines": "SELECT count(*) FROM (SELECT DISTINCT project, name FROM pipelines)",
    "jobs": "SELECT count(*) FROM jobs",
}


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON: time (RFC 3339), level, logger, message, `error` (a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def welcome(server: EmbeddedServer) -> str:
    """The greeting: the server's address, how clients reach it, and what its folder holds."""
    token_file = server.data_dir / startup.TOKEN_FILE
    auth = state.active(server.store.read())
    kept = auth and token_file.exists()
    token = f", auth_token=Path({str(token_file)!r}).read_text().strip()" if kept else ""
    lines = [
        f"The embedded Pachyderm listens on {server.address}; Ctrl-C ends it.",
        "",
        "  pachyderm_sdk   from pathlib import Path; from pachyderm_sdk import Client"
        if kept
        else "  pachyderm_sdk   from pachyderm_sdk import Client",
        f'                  client = Client.from_pachd_address("{server.address}"{token})',
        f"  kfp_pachyderm   export KFP_PACHYDERM_ADDRESS={server.address}",
    ]
    if auth:
        found = f"$(cat {token_file})" if kept else "the root token that you gave"
        lines.append(f'                  export KFP_PACHYDERM_TOKEN="{found}"')
    lines += [
        f'                  or in Python: kfp_pachyderm.local.init("{server.data_dir}")',
        "",
        f"It keeps everything in {server.data_dir}: {_contents(server)}.",
    ]
    return "\n".join(lines)


def _contents(server: EmbeddedServer) -> str:
    db = server.store.read()
    counts = {name: db.execute(query).fetchone()[0] for name, query in _COUNTS.items()}
    return ", ".join(f"{count} {name[:-1] if count == 1 else name}" for name, count in counts.items())
