"""One embedded Pachyderm, one KFP, and triggers as processes."""

import itertools

import pytest
from kfp import compiler, dsl
from trigger_steps import Trigger

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from tests.kfp_api import KfpApi

_numbers = itertools.count(1)


@dsl.component(base_image="python:3.11")
def _look(commit: str):
    print(commit)


@dsl.pipeline(name="train")
def _train(images: str, epochs: int = 1):
    _look(commit=images)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with start(tmp_path_factory.mktemp("pachyderm")) as running:
        yield running.address


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "train.yaml"
    compiler.Compiler().compile(_train, str(path))
    return path


@pytest.fixture
def pachd(server):
    with connect(parse(server)) as one:
        yield one


@pytest.fixture
def kfp_api():
    with KfpApi() as api:
        yield api


@pytest.fixture
def repo():
    return f"images{next(_numbers)}"


@pytest.fixture
def trigger(server, kfp_api, package, repo):
    started = []

    def begin(*arguments, lease=60.0):
        given = [f"{repo}@master", "--package", str(package), "--parameter", "images", *arguments]
        started.append(Trigger(server, kfp_api.url, lease, *given))
        return started[-1]

    yield begin
    for one in started:
        if not one.process.stdout.closed:
            one.end(kill=True)
