"""Runs the notebooks in new folders and writes them with their outputs: python samples/notebooks/execute.py.

`make notebook` does it after a change. Readers on GitHub see the pictures and results; the log of the runs is
left out, since it names ports and folders of the machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
#: The notebooks that need a cluster.
IN_CLUSTER = ("laptop_to_cluster",)


def execute(notebook: Path, folder: str) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run with `folder` as working directory."""
    needed = _cluster(Path(folder)) if notebook.stem in IN_CLUSTER else nullcontext()
    read = nbformat.read(notebook, as_version=4)
    with needed:
        NotebookClient(read, timeout=300, resources={"metadata": {"path": folder}}).execute()
    for cell in read.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.output_type != "stream"]
            for output in cell.outputs:
                output.data.pop("image/jpeg", None)  # the same picture is there as PNG
    read.metadata.language_info = {"name": "python"}
    return read


@contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    """An embedded Pachyderm in place of a cluster's, and the tests' fake Kubernetes API."""
    sys.path.insert(0, str(FOLDER.parents[1]))
    from kfp_pachyderm.embedded.server import EmbeddedServer
    from tests.fake_kubernetes import Pod, fake_kubernetes

    with EmbeddedServer(folder / "cluster", host="0.0.0.0") as real, fake_kubernetes() as kubernetes:
        # the fake service is headless, so that jobs' ports are reached by its name, too
        kubernetes.pods["pachd"] = [Pod("pachd-0", {30650: real.port})]
        os.environ["KUBECONFIG"] = str(kubernetes.kubeconfig(folder))
        os.environ["KFP_PACHYDERM_ADDRESS"] = real.address
        yield


def main(names: list[str]) -> None:
    """Runs and writes notebooks.

    Args:
        names: a notebook's name and the path to write it to; empty: all notebooks, in their places.
    """
    targets = [(names[0], Path(names[1]))] if names else [(one.stem, one) for one in FOLDER.glob("*.ipynb")]
    for name, target in targets:
        with tempfile.TemporaryDirectory(prefix="kfp-pachyderm-notebook-") as folder:
            nbformat.write(execute(FOLDER / f"{name}.ipynb", folder), target)


if __name__ == "__main__":
    main(sys.argv[1:])
