"""A server that speaks KFP's API as `kfp.Client` calls it, and runs what it is sent by kfp.local."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from kfp import components


class Api(ThreadingHTTPServer):
    """KFP's API.

    Args:
        root: where kfp.local keeps the runs, each in a folder that is its ID.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root, self.runs = root, dict[str, dict[str, Any]]()
        self.states = ["RUNNING", "SUCCEEDED"]
        self.tasks = dict[str, str]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        spec = body["pipeline_spec"]
        documents = [spec["pipeline_spec"], spec["platform_spec"]] if "pipeline_spec" in spec else [spec]
        before = set(self.root.iterdir()) if self.root.exists() else set()
        components.load_component_from_text(yaml.safe_dump_all(documents))()
        (folder,) = set(self.root.iterdir()) - before
        self.runs[folder.name] = {**body, "run_id": folder.name}
        return {**self.runs[folder.name], "state": "PENDING"}

    def get(self, run: str) -> dict[str, Any] | None:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        details = [{"display_name": name, "state": one} for name, one in self.tasks.items()]
        found = self.runs.get(run)
        return {**found, "state": state, "run_details": {"task_details": details}} if found else None


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        if "/runs/" in self.path:
            self._answer(self.server.get(self.path.rpartition("/")[2]))
        elif self.path.endswith("/healthz"):
            self._answer({"multi_user": False})
        else:
            self._answer({"experiments": [{"experiment_id": "e", "display_name": "Default"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.server.create(body))

    def _answer(self, found: dict[str, Any] | None) -> None:
        data = json.dumps(found or {"message": "not found"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
