"""What only a run decides: settings by other tasks' outputs, placeholders, lists, embedded folders."""

import json
import os
import tempfile

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

_FOLDER = os.path.join(tempfile.gettempdir(), "kfp-pachyderm-shapes-embedded")
os.makedirs(os.path.join(_FOLDER, "deep"), exist_ok=True)
with open(os.path.join(_FOLDER, "deep", "a.txt"), "w") as _file:
    _file.write("embedded")
_NOTEBOOK = os.path.join(tempfile.gettempdir(), "kfp-pachyderm-shapes-run.ipynb")
_CELL = {
    "cell_type": "code",
    "metadata": {},
    "outputs": [],
    "execution_count": None,
    "source": ["with open(told, 'w') as file:\n", "    file.write(word.upper())\n"],
}
with open(_NOTEBOOK, "w") as _file:
    json.dump({"cells": [_CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, _file)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def value(of: str = "1") -> str:
    return of


@dsl.component(base_image="python:3.11", install_kfp_package=False, embedded_artifact_path=_FOLDER)
def embedded(inside: dsl.EmbeddedInput[Dataset]) -> str:
    import os

    with open(os.path.join(inside.path, "deep", "a.txt")) as file:
        return file.read()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def placed(task: str, name: str, text: str, cpu: str) -> str:
    return f"{task} {bool(name)} {text} {cpu}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def environment(of: str = "") -> str:
    import os

    return os.environ.get("MODE", "none") + of


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def several(count: int) -> list[str]:
    return [str(one) for one in range(count)]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def written(word: str, made: Output[Artifact]) -> None:
    made.metadata["word"] = word
    made.name = "renamed"
    with open(made.path, "w") as file:
        file.write(word)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def sizes(every: Input[list[Artifact]]) -> str:
    import os

    return ",".join(sorted(f"{os.path.getsize(one.path)} {one.metadata['word']}" for one in every))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def of_given(given: Input[Dataset]) -> str:
    return f"{given.uri} {given.metadata}"


@dsl.pipeline(name="at-run", display_name="At run")
def at_run(word: str = "w") -> str:
    one = value()
    two = placed(
        task=dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        text=f"a-{word}-{one.output}",
        cpu=one.output,
    )
    two.set_cpu_limit(one.output).set_memory_limit("1Gi").set_display_name("Two").set_retry(1)
    environment(of=two.output).set_env_variable("MODE", "fast").set_caching_options(False)
    embedded()
    with dsl.ParallelFor(several(count=2).output) as item:
        made = written(word=item)
    given = dsl.importer(artifact_uri="s3://bucket/a", artifact_class=Dataset, metadata={"rows": "3"})
    of_given(given=given.output)
    return sizes(every=dsl.Collected(made.outputs["made"])).output
