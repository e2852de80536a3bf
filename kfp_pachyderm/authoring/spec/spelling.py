"""Turns spellings that Pachyderm's documentation shows in pipeline specs into those that Pachyderm reads."""

from __future__ import annotations

import re
from typing import Any

_BOOLEANS = {"true": True, "false": False}
_BRANCHING = ("cross", "join", "group", "union")


class Spelling:
    """Respells one pipeline spec.

    Attributes:
        notes: one sentence for each spelling that Pachyderm itself refuses.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def spec(self, data: dict[str, Any]) -> dict[str, Any]:
        """Returns the spec with snake_case names for camelCase ones, and with booleans for their texts."""
        spec = self._booleans(_snake(data), "s3_out", "autoscaling", "enable_stats")
        if isinstance(spec.get("input"), dict):
            spec["input"] = self._tree(spec["input"])
        return spec

    def _tree(self, node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        node = _snake(node)
        if isinstance(node.get("pfs"), dict):
            node["pfs"] = self._pfs(node["pfs"])
        for kind in _BRANCHING:
            if isinstance(node.get(kind), list):
                node[kind] = [self._tree(child) for child in node[kind]]
        return node

    def _pfs(self, data: dict[str, Any]) -> dict[str, Any]:
        pfs = self._booleans(_snake(data), "s3", "lazy", "empty_files")
        repo = pfs.get("repo")
        if isinstance(repo, str) and repo.startswith("s3://"):
            pfs["repo"] = repo.removeprefix("s3://").strip("/")
            self.notes.append(f'"repo": "{repo}" is read as "repo": "{pfs["repo"]}"')
        return pfs

    def _booleans(self, data: dict[str, Any], *fields: str) -> dict[str, Any]:
        for field in fields:
            text = data.get(field)
            if isinstance(text, str) and text.lower() in _BOOLEANS:
                data[field] = _BOOLEANS[text.lower()]
                self.notes.append(f'"{field}": "{text}" is read as "{field}": {text.lower()}')
        return data


def _snake(data: dict[str, Any]) -> dict[str, Any]:
    """Renames fields as in Pachyderm's proto files; Pachyderm's JSON reader takes camelCase, too."""
    return {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(key)).lower(): value for key, value in data.items()}
