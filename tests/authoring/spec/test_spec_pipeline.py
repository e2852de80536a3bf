"""PipelineSpec: Pachyderm's JSON and YAML, its rules in its own words."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_pachyderm.authoring.spec import FileInput, PipelineSpec, S3Input
from kfp_pachyderm.errors import GlobError, InputNameError, InputNestingError, PachydermError, SpecError
from tests.documented import DOCUMENTED

S3 = {"pfs": {"repo": "images", "glob": "/", "s3": True}}
FILES = {"pfs": {"repo": "lists", "glob": "/*"}}


def spec(tree: Any = S3, **fields: Any) -> PipelineSpec:
    return PipelineSpec.load(json.dumps({"pipeline": {"name": "test"}, "input": tree, **fields}))


def test_documented_example_verbatim() -> None:
    with pytest.warns(UserWarning, match="Pachyderm refuses this spelling") as seen:
        found = PipelineSpec.load(DOCUMENTED)
    assert found.inputs() == (S3Input("images"),)
    assert (found.name, found.project, found.s3_out) == ("test", None, True)
    assert found.further_fields() == {}
    said = " ".join(str(one.message) for one in seen)
    assert '"s3": "true" is read as "s3": true' in said
    assert '"repo": "s3://images" is read as "repo": "images"' in said
    assert [Path(one.filename).name for one in seen] == [Path(__file__).name] * 2


def test_good_spelling_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert spec().inputs() == (S3Input("images"),)


def test_from_file_and_yaml(tmp_path: Path) -> None:
    text = (
        "pipeline: {name: test, project: {name: vision}}\ninput: {pfs: {repo: images, glob: /, s3: true}}\n"
    )
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    assert PipelineSpec.load(file) == PipelineSpec.load(str(file)) == PipelineSpec.load(text)
    assert PipelineSpec.load(text).project == "vision"


def test_cross_of_s3_and_files() -> None:
    tree = {
        "cross": [
            S3,
            {
                "cross": [
                    FILES,
                    {"pfs": {"repo": "a_b", "name": "ab", "branch": "x", "project": "p", "glob": "/"}},
                ]
            },
        ]
    }
    assert spec(tree).inputs() == (
        S3Input("images"),
        FileInput("lists", "/*"),
        FileInput("a_b", "/", "x", name="ab", project="p"),
    )


def test_camel_case_of_pachyderms_json() -> None:
    found = spec(s3Out=True, datumTries="1", podPatch="[]", parallelismSpec={"constant": 1})
    assert found.s3_out
    assert found.further_fields() == {"pod_patch": "[]"}


def test_unknown_fields_pass_through() -> None:
    further = {
        "resource_requests": {"cpu": 1},
        "brand_new": {"x": [1]},
        "description": "d",
        "transform": {"env": {"A": "b"}},
    }
    assert spec(**further).further_fields() == further


def test_same_name_is_good_between_siblings_of_a_union() -> None:
    assert spec({"union": [FILES, FILES]}).name == "test"


BROKEN = [
    (
        {"pfs": {"repo": "images", "glob": "/*", "s3": True}},
        {},
        GlobError,
        "inputs that set 's3' to 'true' must also set 'glob', to \"/\"",
    ),
    ({"pfs": {"repo": "images", "s3": True}}, {}, GlobError, "Input 'images' has ''"),
    (
        {"pfs": {"repo": "images", "glob": "/", "s3": True, "lazy": True}},
        {},
        SpecError,
        "cannot specify both 's3' and 'lazy'",
    ),
    (
        {"pfs": {"repo": "images", "glob": "/", "s3": True, "empty_files": True}},
        {},
        SpecError,
        "both 's3' and 'empty_files'",
    ),
    ({"join": [S3, FILES]}, {}, InputNestingError, "S3 inputs in join expressions are not supported"),
    ({"group": [S3]}, {}, InputNestingError, "S3 inputs in group expressions are not supported"),
    ({"union": [FILES, S3]}, {}, InputNestingError, "S3 inputs in union expressions are not supported"),
    ({"cross": [FILES, {"join": [{"cross": [S3]}]}]}, {}, InputNestingError, "Input 'images'"),
    ({"cross": [S3, S3]}, {}, InputNameError, 'name "images" was used more than once'),
    (
        {"pfs": {"repo": "images", "glob": "/", "name": "out"}},
        {},
        InputNameError,
        "input cannot be named out",
    ),
    ({"pfs": {"repo": "out", "glob": "/"}}, {}, InputNameError, 'inputs based on repos named "out"'),
    ({"pfs": {"repo": "images"}}, {}, SpecError, "input must specify a glob"),
    ({"pfs": {"glob": "/"}}, {}, SpecError, "input must specify a repo"),
    (
        {"pfs": {"repo": "images", "glob": "/", "commit": "abc"}},
        {},
        SpecError,
        "input cannot come from a commit",
    ),
    ({"pfs": {"repo": "images", "glob": 5}}, {}, SpecError, 'Argument for "glob" of PfsInput'),
    ({"pfs": {"repo": "images", "glob": "/", "s3": "perhaps"}}, {}, SpecError, "valid boolean"),
    ({**S3, "cron": {"spec": "@daily"}}, {}, SpecError, "multiple input types set. Got pfs and cron"),
    ({}, {}, SpecError, "no input set"),
    ({"git": {"url": "x"}}, {}, SpecError, "no input set. Got git"),
    (S3, {"s3_out": True, "service": {}}, SpecError, "s3 output is not supported in spouts or services"),
    (S3, {"s3_out": True, "spout": {}}, SpecError, "s3 output is not supported in spouts or services"),
    (
        S3,
        {"enable_stats": True},
        SpecError,
        "stats are not supported for pipelines that output via Pachyderm's S3 gateway",
    ),
    (S3, {"pipeline": {"name": "a b"}}, SpecError, r"invalid pipeline name: name \(a b\) invalid"),
    (S3, {"pipeline": {"name": "a" * 53}}, SpecError, "is 2 characters longer than the 51 max"),
    (S3, {"pipeline": {}}, SpecError, "request.Pipeline cannot be nil"),
    (S3, {"pipeline": {"name": ""}}, SpecError, "request.Pipeline.Name cannot be empty"),
]


@pytest.mark.parametrize(("tree", "fields", "error", "text"), BROKEN)
def test_pachyderms_rules(tree: Any, fields: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        spec(tree, **fields)
    assert type(raised.value) is error


UNDRIVABLE = [
    (S3, {"datum_tries": 3}, "tries each datum once"),
    (S3, {"autoscaling": True}, "can't scale itself"),
    (S3, {"parallelism_spec": {"constant": 4}}, "one worker"),
    (S3, {"service": {"type": "NodePort"}}, "can't be a service"),
    ({"cross": [S3, {"cron": {"name": "tick", "spec": "@daily"}}]}, {}, 'Got "cron"'),
    ({"union": [FILES, FILES]}, {}, 'Got "union"'),
    ({"pfs": {"repo": "images", "glob": "/", "s3": True, "trigger": {"size": "1M"}}}, {}, "trigger"),
    (None, {}, "no input set"),
]


@pytest.mark.parametrize(("tree", "fields", "text"), UNDRIVABLE)
def test_what_a_step_cant_drive(tree: Any, fields: dict[str, Any], text: str) -> None:
    found = spec(tree, **fields)
    with pytest.raises(SpecError, match=text):
        (found.inputs(), found.further_fields())


@pytest.mark.parametrize(
    "text", ["{", "[]", "[1]", "[{}, {}]", "a: [\n", "a\n", "---\na: 1\n---\nb: 2\n", "/no/such/file", "\0"]
)
def test_no_spec_at_all(text: str) -> None:
    with pytest.raises(SpecError):
        PipelineSpec.load(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pfs", "cross", "join", "repo", "glob", "s3", "name", "cron"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_tree_is_good_or_refused_by_our_error(tree: Any) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec(tree).inputs()
    except PachydermError:
        pass
