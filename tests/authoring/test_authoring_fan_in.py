"""Arguments of an input with many=True: which are accepted, and with which errors others are refused."""

from typing import Any, List  # kfp 2.14 does not know list[str]

import pytest
from google.protobuf import json_format
from kfp import dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm.errors import CommitReferenceError, InputNameError, SpecError
from kfp_pachyderm.launcher.config import loads

COMMIT = "part@0123456789abcdef0123456789abcdef"


@dsl.component(base_image="python:3.11")
def plain():
    pass


@dsl.component(base_image="python:3.11")
def name() -> str:
    return "part@master"


part = pachyderm.s3_enabled(plain, inputs=[pachyderm.S3Input("images")], name="part")
merge = pachyderm.s3_enabled(plain, inputs=[pachyderm.S3Input("part", many=True)], name="merge")


def task(passed: Any) -> Any:
    """Returns the task of a pipeline's only step, whose argument a function makes in the body."""

    @dsl.pipeline(name="fan-in")
    @pachyderm.pipeline
    def run(commits: List[str] = [], text: str = ""):  # noqa: B006
        given = passed(commits, text)
        merge(**({} if given is None else {"part": given})).set_display_name("merge")

    tasks = json_format.MessageToDict(run.pipeline_spec)["root"]["dag"]["tasks"]
    (found,) = (one for one in tasks.values() if one["taskInfo"]["name"] == "merge")
    return found


def looped() -> Any:
    with dsl.ParallelFor(["a", "b"]):
        made = part()
    return made.outputs["commit"]


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (lambda _, __: "part@master", r"must be a list of commit references. Got 'part@master': pass"),
        (lambda _, text: text, "Got an output or parameter of type String"),
        (lambda _, __: name().output, "Got an output or parameter of type String"),
        (lambda _, __: ("part@master",), r"Got \('part@master',\)"),
        (lambda _, __: {"a": COMMIT}, "Got {'a'"),
        (lambda _, __: [], "is an empty list"),
        (lambda _, __: [COMMIT, ""], "number 1: an empty reference"),
        (lambda _, __: [[COMMIT]], "number 0: a list in the list"),
        (lambda _, __: [dsl.Collected(looped())], "number 0: a list in the list"),
        (lambda _, __: [COMMIT, 7], "number 1: 7; each must be a commit reference"),
        (lambda _, __: [None], "number 0: None; each"),
        (lambda _, __: ["part@no good"], "is no commit reference. Got 'part@no good'"),
    ],
)
def test_what_is_no_list_of_commits(passed: Any, said: str) -> None:
    with pytest.raises(CommitReferenceError, match=said):
        task(passed)


@pytest.mark.parametrize("passed", [lambda: [COMMIT], lambda: dsl.Collected(looped())])
def test_a_list_for_one_commit_names_the_way_out(passed: Any) -> None:
    @pachyderm.pipeline
    def run():
        part(images=passed())

    with pytest.raises(CommitReferenceError, match=r'Declare it as S3Input\("images", many=True\)'):
        dsl.pipeline(name="fan-in")(run)


@pytest.mark.parametrize(
    ("passed", "cached"),
    [
        (lambda _, __: None, True),
        (lambda commits, _: commits, True),
        (lambda _, text: [COMMIT, text, f"part@{text}", "part@staging"], True),
        (lambda _, __: dsl.Collected(looped()), True),
        (lambda _, __: [name().output, COMMIT], False),
    ],
)
def test_what_is_pinned_is_cached(passed: Any, cached: bool) -> None:
    assert bool(task(passed)["cachingOptions"]) is cached


def test_without_a_snapshot_a_list_stays_as_it_is() -> None:
    @dsl.pipeline(name="fan-in")
    @pachyderm.pipeline(snapshot=False)
    def run(commits: List[str] = []):  # noqa: B006
        merge()
        merge(part=commits)

    tasks = json_format.MessageToDict(run.pipeline_spec)["root"]["dag"]["tasks"]
    first, second = (tasks[one]["inputs"]["parameters"]["part"] for one in ("plain", "plain-2"))
    assert first == {"runtimeValue": {"constant": ["part@master"]}}
    assert second == {"componentInputParameter": "commits"}
    assert not any(one["cachingOptions"] for one in tasks.values())


def test_an_exit_task_resolves_its_list_itself() -> None:
    @dsl.pipeline(name="fan-in")
    @pachyderm.pipeline
    def run(text: str = ""):
        with dsl.ExitHandler(merge(part=[text, COMMIT])):
            part()

    tasks = json_format.MessageToDict(run.pipeline_spec)["root"]["dag"]["tasks"]
    constant = tasks["plain"]["inputs"]["parameters"]["part"]["runtimeValue"]["constant"]
    assert constant == ["{{$.inputs.parameters['pipelinechannel--text']}}", COMMIT]


def test_merge_needs_many() -> None:
    with pytest.raises(SpecError, match=r'Write S3Input\("part", many=True, merge=True\)'):
        pachyderm.S3Input("part", merge=True)
    with pytest.raises(SpecError, match='Argument for "many" of S3Input is wrong'):
        pachyderm.S3Input("part", many="yes")  # type: ignore[arg-type]


def test_no_input_is_named_like_a_commit_of_another() -> None:
    both = [pachyderm.S3Input("part", many=True), pachyderm.FileInput("b", "/", name="part_0")]
    with pytest.raises(InputNameError, match='Input "part_0" is named like a commit of "part"'):
        pachyderm.s3_enabled(plain, inputs=both)


def test_elements_of_lists_alone_may_be_empty() -> None:
    @dsl.pipeline(name="fan-in")
    @pachyderm.pipeline
    def run(commits: List[str] = [], text: str = ""):  # noqa: B006
        merge(part=[text, "part@a", "part@b", COMMIT])
        merge(part=commits)
        part(images="part@b")

    executors = json_format.MessageToDict(run.pipeline_spec)["deploymentSpec"]["executors"]
    command = executors["exec-pachyderm-snapshot"]["container"]["command"]
    config = loads(command[command.index("--executor-input") - 1])
    assert set(config.references) == {"part", "part_2", "part_a", "part_b"}
    assert config.elements == ("part", "part_a")
