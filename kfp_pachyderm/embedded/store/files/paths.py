"""Paths and globs as Pachyderm has them (src/internal/storage/paths.go, src/internal/pfsfile/pfsfile.go)."""

from __future__ import annotations

import re
from functools import lru_cache

from kfp_pachyderm.embedded.status import Refused

_PRINTABLE = re.compile(r"[ -~]+")
_GLOB = re.compile(r"[*?\[\]{}!()@+^]")


def validate(path: str) -> None:
    """Refuses what Pachyderm refuses as a file's path."""
    if not _PRINTABLE.fullmatch(path):
        raise Refused(f"path ({path}) invalid: only printable ASCII characters allowed")
    found = _GLOB.search(path)
    if found:
        raise Refused(f"path ({path}) invalid: globbing character ({found[0]}) not allowed in path")
    if any(part in (".", "..") for part in path.split("/")):
        raise Refused(f"path ({path}) invalid: relative file paths are not allowed")


def clean(path: str) -> str:
    """The canonical form: one slash in front, none at the end, none doubled."""
    if path.startswith("/") and "//" not in path and not path.endswith("/") and "/." not in path:
        return path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def literal_prefix(glob: str) -> str:
    """The prefix of every match of the glob."""
    found = _GLOB.search(glob)
    return glob[: found.start()] if found else glob


def is_literal(glob: str) -> bool:
    """Whether the glob can match one path only."""
    return _GLOB.search(glob) is None


@lru_cache(64)
def glob_regex(glob: str) -> re.Pattern[str]:
    """The glob as a regular expression over paths without a slash at the end."""
    try:
        return re.compile(_translate(glob))
    except (re.error, IndexError) as error:
        raise Refused(f"invalid glob {glob!r}: {error}", "INVALID_ARGUMENT") from error


def _translate(glob: str) -> str:
    out, stack, at = "", [], 0
    while at < len(glob):
        char, following = glob[at], glob[at + 1 : at + 2]
        if char in "@?*+!" and following == "(":
            out += "(?!" if char == "!" else "(?:"
            stack.append({"@": ")", "?": ")?", "*": ")*", "+": ")+", "!": ")[^/]*"}[char])
            at += 1
        elif char == "{":
            out += "(?:"
            stack.append(")")
        elif char in ")}" and stack:
            out += stack.pop()
        elif char in "|," and stack:
            out += "|"
        elif char == "*" and following == "*":
            out += ".*"
            at += 1
        elif char == "[":
            end = glob.index("]", at + 2) if "]" in glob[at + 2 :] else len(glob) - 1
            inside = glob[at + 1 : end].replace("\\", "\\\\")
            out += f"[{'^' + inside[1:] if inside[:1] in ('!', '^') else inside}]"
            at = end
        elif char == "\\":
            out += re.escape(following)
            at += 1
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char)
        at += 1
    return out
