"""Patches KFP's decorators and loaders: every component is S3-enabled, every pipeline decorated."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import kfp.components

# KFP's own components come from the decorators as they are.
import kfp.kubernetes
from kfp import dsl

from kfp_pachyderm import S3Input, pipeline, s3_enabled
from kfp_pachyderm.authoring.ir import is_wrapped

#: The repo that every component reads.
REPO = "pachinput"
_DECORATORS = ("component", "container_component", "notebook_component")
_LOADERS = ("load_component_from_text", "load_component_from_file", "load_component_from_url")


@contextmanager
def everything_wrapped(project: str = "default") -> Iterator[None]:
    """Inside, every component that is made or loaded is S3-enabled, and every pipeline decorated.

    Args:
        project: the Pachyderm project of the pipelines; the repo that they read is in "default".
    """
    with ExitStack() as patches:
        for name in _DECORATORS:
            changed = _decorator(getattr(dsl, name), then=_wrapped)
            patches.enter_context(mock.patch.object(dsl, name, changed))
        for name in _LOADERS:
            loader = _loader(getattr(kfp.components, name))
            patches.enter_context(mock.patch.object(kfp.components, name, loader))
        decorated = _decorator(dsl.pipeline, first=pipeline(project=project))
        patches.enter_context(mock.patch.object(dsl, "pipeline", decorated))
        yield


def _same(value: Any) -> Any:
    return value


def _wrapped(component: Any) -> Any:
    container = component.component_spec.implementation.container
    # s3_enabled refuses pipelines, components that are wrapped already, and those that KFP can't run either
    if container is None or is_wrapped(component) or not container.command:
        return component
    return s3_enabled(component, inputs=[S3Input(REPO, project="default")])


def _decorator(original: Any, first: Callable[[Any], Any] = _same, then: Callable[[Any], Any] = _same) -> Any:
    @functools.wraps(original)
    def decorate(func: Any = None, **options: Any) -> Any:
        def apply(one: Any) -> Any:
            return then(original(first(one), **options))

        # notebook_component makes a component of the notebook alone, when it is called.
        return apply if func is None else apply(func)

    return decorate


def _loader(original: Any) -> Any:
    @functools.wraps(original)
    def load(*args: Any, **options: Any) -> Any:
        loaded = original(*args, **options)
        ours = sys._getframe(1).f_globals["__name__"].startswith("kfp_pachyderm")
        return loaded if ours else _wrapped(loaded)

    return load
