"""Runs first_steps.ipynb in a new folder and writes it with its outputs: python samples/notebooks/execute.py.

`make notebook` does it after a change. Readers on GitHub see the pictures and results; the log of the runs is
left out, since it names ports and folders of the machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("first_steps.ipynb")


def execute(folder: str) -> nbformat.NotebookNode:
    """The notebook with the outputs of a run in the folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.output_type != "stream"]
            for output in cell.outputs:
                output.data.pop("image/jpeg", None)  # the PNG again
    notebook.metadata.language_info = {"name": "python"}
    return notebook


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else NOTEBOOK
    with tempfile.TemporaryDirectory(prefix="kfp-pachyderm-notebook-") as folder:
        nbformat.write(execute(folder), target)
