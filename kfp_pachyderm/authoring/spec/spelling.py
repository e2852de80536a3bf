"""Spellings that the documentation of pipeline specs shows, turned into those that Pachyderm reads."""

from __future__ import annotations

import re
from typing import Any

_BOOLEANS = {"true": True, "false": False}
_BRANCHING = ("cross", "join", "group", "union")


class Spelling:
    """Respells one spec; `notes` says what had to be understood.

    Args:
        notes: one sentence for each spelling that Pachyderm itself refuses.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def spec(self, data: dict[str, Any]) -> dict[str, Any]:
        """The whole spec: JSON's camelCase names and texts for booleans understood."""
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
    """Names of fields as in Pachyderm's proto; its JSON reader takes camelCase as well."""
    return {re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(key)).lower(): value for key, value in data.items()}
