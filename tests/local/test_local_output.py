"""The log of a step that KFP's own executor runs."""

import functools
import re

import pytest
from kfp import dsl

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@component()
def talk(word: str) -> None:
    import json
    import logging
    import os
    import sys

    import __main__

    here = os.getcwd()
    os.chdir("/")
    facts = {
        "program": os.path.basename(sys.argv[0]),
        "arguments": [one for one in sys.argv[1:] if one.startswith("--")],
        "path": sys.path[0] == here,
        "main": __main__.__spec__.name,
    }
    print("facts", json.dumps(facts))
    logging.info("Got executor_input, says the user")
    logging.getLogger("mine").warning("a warning")


def facts(text: str) -> str:
    (found,) = re.findall(r"facts (\{.*\})", text)
    return found


def test_the_executors_dump_is_gone_and_all_else_is_there(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    images = pachyderm.put("images", {"a": b"A"})
    talk(word="hello")
    plain = capfd.readouterr().out
    assert "Got executor_input:" in plain, "KFP's dump, without which this tests nothing"

    pach.s3_enabled(talk, inputs=[pach.S3Input("images")])(word="hello", images=images)
    step = capfd.readouterr().out
    assert "Got executor_input:" not in step
    assert facts(step) == facts(plain)
    for said in ("Got executor_input, says the user", "a warning", "Loading KFP component"):
        assert said in step
    assert len(step.splitlines()) < len(plain.splitlines()) + 30
