"""KFP's API server of the tests, which runs what it is sent by kfp.local."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from kfp import components

from tests.kfp_api import KfpApi


class LocalRuns(KfpApi):
    """A context manager, as `KfpApi` is; a run has ended before its client is answered.

    Args:
        root: where kfp.local keeps the runs, each in a folder that is its ID.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root
        self.before_create, self.after_create = self._run, self._end

    def _run(self, run: dict[str, Any]) -> None:
        spec = run["pipeline_spec"]
        documents = [spec["pipeline_spec"], spec["platform_spec"]] if "pipeline_spec" in spec else [spec]
        before = set(self._root.iterdir()) if self._root.exists() else set()
        components.load_component_from_text(yaml.safe_dump_all(documents))()
        (folder,) = set(self._root.iterdir()) - before
        run["run_id"] = folder.name

    def _end(self, run: dict[str, Any]) -> None:
        self.store.set_state(run["run_id"], "SUCCEEDED")

    def tell(self, run: str, **states: str) -> None:
        """What KFP says of a run's tasks from now on."""
        details = [{"display_name": name, "state": state} for name, state in states.items()]
        self.store.runs[run]["run_details"] = {"task_details": details}
