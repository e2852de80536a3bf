"""S3Input, FileInput, HolderOptions: positional use, rules, own errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_pachyderm.authoring.spec import FileInput, HolderOptions, S3Input
from kfp_pachyderm.errors import BucketNameError, InputNameError, PachydermError, SpecError
from kfp_pachyderm.launcher.config import HolderConfig, InputConfig


def test_s3_input() -> None:
    assert S3Input("images").config() == InputConfig("images", "images")
    assert S3Input("Images_1", "staging", name="images-1", project="vision").config() == InputConfig(
        "images-1", "Images_1", "staging", "vision"
    )


def test_file_input() -> None:
    assert FileInput("lists", "/*").config() == InputConfig("lists", "lists", s3=False, glob="/*")
    assert FileInput("my_lists", "/**", "dev", name="l", project="p").config() == InputConfig(
        "l", "my_lists", "dev", "p", False, "/**"
    )


def test_inputs_are_values() -> None:
    assert S3Input("images") == S3Input("images", "master")
    assert len({S3Input("images"), S3Input("images"), S3Input("images", "dev")}) == 2
    with pytest.raises(Exception, match="frozen"):
        S3Input("images").repo = "other"


def test_holder_options() -> None:
    assert HolderOptions().config() == HolderConfig()
    assert HolderOptions().image is None
    assert HolderOptions(image="a:1", attach_timeout=5, lease=2).config() == HolderConfig("a:1", 5.0, 2.0)
    assert HolderOptions(sidecar_memory="1.5Gi").config().sidecar_memory == "1.5Gi"


REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: S3Input(""), SpecError, 'Argument for "repo" must be a non-empty string'),
    (lambda: S3Input(7), SpecError, 'Argument for "repo" must be a non-empty string. Got 7'),
    (lambda: S3Input("s3://images"), SpecError, 'Write "images"'),
    (lambda: S3Input("a b"), SpecError, "only alphanumeric characters, underscores, and dashes are allowed"),
    (lambda: S3Input("images", ""), SpecError, '"branch"'),
    (lambda: S3Input("images", "0" * 32), SpecError, "images@0000|<repo>@0000"),
    (lambda: S3Input("images", project="_a"), SpecError, "must start with an alphanumeric"),
    (lambda: S3Input("images", project="a" * 52), SpecError, "1 characters longer than the 51 max"),
    (lambda: S3Input("my_images"), BucketNameError, "'my-images'"),
    (lambda: S3Input("ab"), BucketNameError, "3 to 63"),
    (lambda: S3Input("images", name="Images"), BucketNameError, "'images'"),
    (lambda: S3Input("images", name="images-"), BucketNameError, "at both ends"),
    (lambda: S3Input("images", name="out"), BucketNameError, "input cannot be named out"),
    (lambda: S3Input("images", name=""), SpecError, '"name"'),
    (lambda: S3Input("2024"), InputNameError, "begin with a letter"),
    (lambda: FileInput("lists", ""), SpecError, "input must specify a glob"),
    (lambda: FileInput("lists", "/", name="out"), InputNameError, "input cannot be named out"),
    (lambda: FileInput("lists", "/", name=".env"), InputNameError, r"input cannot be named \.env"),
    (lambda: FileInput("lists", "/", name="a/b"), InputNameError, "KFP parameter"),
    (lambda: HolderOptions(lease=0), SpecError, "positive number of seconds"),
    (lambda: HolderOptions(attach_timeout=True), SpecError, "positive number of seconds"),
    (lambda: HolderOptions(image=" "), SpecError, '"image"'),
    (lambda: HolderOptions(sidecar_memory="1GB"), SpecError, '"sidecar_memory" must be .* "1Gi"'),
    (lambda: HolderOptions(sidecar_memory="0Mi"), SpecError, "Got '0Mi'"),
    (lambda: HolderOptions(sidecar_memory=2), SpecError, "Got 2"),  # type: ignore[arg-type]
    (lambda: S3Input("images", "dev", "name"), TypeError, "positional"),  # type: ignore[misc]
]


@pytest.mark.parametrize(("make", "error", "text"), REFUSED)
def test_refused(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        make()
    assert type(raised.value) is error
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@given(st.text(max_size=70))
def test_a_bucket_is_good_or_refused_by_our_error(name: str) -> None:
    with suppress(PachydermError):
        found = S3Input("images", name=name).name
        assert re.fullmatch(r"[a-z][a-z0-9-]{1,61}[a-z0-9]", found)


@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=80))
def test_the_bucket_that_is_proposed_is_good(name: str) -> None:
    try:
        S3Input("images", name=name)
    except BucketNameError as error:
        proposed = re.search(r"for example '([^']*)'", str(error))
        if proposed:
            assert S3Input("images", name=proposed[1]).name == proposed[1]
    except InputNameError:
        assert not name[0].isalpha()
