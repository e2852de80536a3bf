"""Which image the pipeline of a step names: the author's, the namespace's, the usual one."""

from __future__ import annotations

import pytest
from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.claim.holder_image import DEFAULT_IMAGE, holder_image
from kfp_pachyderm.launcher.config import HolderConfig

HERE = "registry.internal/python:3.12"


@pytest.mark.parametrize(
    ("author", "namespace", "expected"),
    [
        ("", None, DEFAULT_IMAGE),
        ("", "", DEFAULT_IMAGE),
        ("", HERE, HERE),
        ("", f"{HERE}\n", HERE),
        ("mine:1", HERE, "mine:1"),
        (DEFAULT_IMAGE, HERE, DEFAULT_IMAGE),
    ],
)
def test_most_specific_wins(author: str, namespace: str | None, expected: str) -> None:
    env = {} if namespace is None else {"KFP_PACHYDERM_HOLDER_IMAGE": namespace}
    assert holder_image(author, env) == expected


def test_namespaces_image_is_in_the_pipeline_until_the_author_names_one(step: Runner) -> None:
    step.fill()
    namespace = {"KFP_PACHYDERM_HOLDER_IMAGE": HERE}
    named = step.config(holder=HolderConfig(image="mine:1"))
    images = []
    for config in (step.config(), named):
        ended = step.end(step.start("", config, namespace))
        assert ended.code == 0, ended.err
        images.append(step.pipeline().details.transform.image)
    assert images == [HERE, "mine:1"]
