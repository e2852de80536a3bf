"""Writes the component.yaml files of this folder: python components/generate.py (make components).

Pipelines that do not import kfp-pachyderm load these components by KFP's load_component_from_file or
load_component_from_url. The code that they run is in kfp_pachyderm/launcher/reusable/.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import yaml

from kfp_pachyderm.authoring.ir import launcher_command
from kfp_pachyderm.launcher.config import ReusableConfig

HERE = Path(__file__).parent
#: Any image with Python works: the bootstrap installs the launcher.
IMAGE = "python:3.11"
#: kfp.local's SubprocessRunner runs only commands that name KFP's executor; the launcher ignores this text.
RUN_ME_LOCALLY = "instead of kfp.dsl.executor_main"
HEADER = "# Made by components/generate.py (make components) of interfaces.yaml; not to be changed by hand.\n"


class _Dumper(yaml.SafeDumper):
    """Writes strings of several lines as YAML block scalars."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def texts() -> dict[Path, str]:
    """Returns component.yaml file → its text, for every component."""
    interfaces = yaml.safe_load((HERE / "interfaces.yaml").read_text(encoding="utf-8"))
    common = interfaces.pop("every component")
    return {
        HERE / path / "component.yaml": _text(path, interface, common)
        for path, interface in interfaces.items()
    }


def _text(path: str, interface: dict[str, Any], common: dict[str, Any]) -> str:
    own = [one["name"] for one in interface["inputs"]]
    whole = {
        "name": interface["name"],
        "description": interface["description"],
        "inputs": interface["inputs"] + [one for one in common["inputs"] if one["name"] not in own],
        "outputs": interface.get("outputs", []) + common["outputs"],
    }
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    command = launcher_command(ReusableConfig(path, f"sha256:{digest}", IMAGE), ["python"])
    container = {"image": IMAGE, "command": command, "args": [RUN_ME_LOCALLY]}
    whole["implementation"] = {"container": container}
    return HEADER + yaml.dump(whole, Dumper=_Dumper, sort_keys=False, width=110)


def main() -> None:
    """Writes all component.yaml files."""
    for target, text in texts().items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        logging.info("%s", target.relative_to(HERE))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
