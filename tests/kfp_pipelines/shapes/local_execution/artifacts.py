"""Artifacts: by parameter, returned, in lists, collected, optional, embedded; out of nested pipelines."""

import os
import tempfile
from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, InputPath, Model, Output, OutputPath

_EMBEDDED = os.path.join(tempfile.gettempdir(), "kfp-pachyderm-shapes-embedded.txt")
with open(_EMBEDDED, "w") as _file:
    _file.write("embedded")


@dsl.component(base_image="python:3.11", install_kfp_package=False, embedded_artifact_path=_EMBEDDED)
def several(
    word: str,
    table: Output[Dataset],
    path: OutputPath("Model"),
    number: OutputPath(int),
    inside: dsl.EmbeddedInput[Dataset],
) -> None:
    with open(table.path, "w") as file, open(inside.path) as given:
        file.write(word + given.read())
    table.metadata["rows"] = {"a": 1}
    with open(path, "w") as file:
        file.write(word * 2)
    with open(number, "w") as file:
        file.write(str(len(word)))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def returned(word: str) -> Dataset:
    made = Dataset(uri=dsl.get_uri("made"), metadata={"word": word})
    with open(made.path, "w") as file:
        file.write(word)
    return made


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read(table: Input[Dataset], path: InputPath("Model"), none: Input[Model] = None) -> str:
    with open(table.path) as first, open(path) as second:
        return f"{first.read()} {second.read()} {table.metadata} {none}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def join(tables: list[Dataset], words: list[str]) -> str:
    texts = []
    for one in tables:
        with open(one.path) as file:
            texts.append(file.read())
    return ",".join(sorted(texts) + sorted(words))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def word_of(word: str) -> str:
    return word.upper()


class Made(NamedTuple):
    table: Dataset
    path: Model


class Out(NamedTuple):
    joined: str
    read: str


@dsl.pipeline
def nested(word: str = "n") -> Made:
    made = several(word=word)
    return Made(made.outputs["table"], made.outputs["path"])


@dsl.pipeline
def artifacts() -> Out:
    made = nested(word="w")
    with dsl.ParallelFor(["a", "b"]) as item:
        one = returned(word=item)
        upper = word_of(word=item)
    joined = join(tables=dsl.Collected(one.output), words=dsl.Collected(upper.output))
    seen = read(table=made.outputs["table"], path=made.outputs["path"])
    return Out(joined.output, seen.output)
