"""Options of Python components: how they are installed, where their code is, notebooks."""

import json
import os
import tempfile

from kfp import dsl

_NOTEBOOK = os.path.join(tempfile.gettempdir(), "kfp-pachyderm-shapes.ipynb")
_CELL = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": ["print(1)"]}
with open(_NOTEBOOK, "w") as _file:
    json.dump({"cells": [_CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, _file)


@dsl.component(base_image="python:3.11", use_venv=True, packages_to_install=["requests==2.32.0"])
def in_venv(word: str) -> str:
    return word


@dsl.component(
    base_image="python:3.11",
    packages_to_install=["a", "b"],
    pip_index_urls=["https://pypi.example.com/simple"],
    pip_trusted_hosts=["pypi.example.com"],
    kfp_package_path="git+https://example.com/kfp",
)
def from_index() -> int:
    return 1


@dsl.component(base_image="python:3.11", target_image="registry.example.com/work:1")
def in_image(word: str) -> str:
    return word


@dsl.component
def of_default_image(word: str) -> str:
    return word


@dsl.notebook_component(notebook_path=_NOTEBOOK)
def in_notebook(word: str):
    dsl.run_notebook(word=word)


@dsl.pipeline(name="options", description="Said.", display_name="Shown", pipeline_root="s3://bucket/root")
def python_options(word: str = "a"):
    in_venv(word=word)
    from_index()
    in_image(word=word)
    in_notebook(word=of_default_image(word=word).output)
