"""The counts of pachyderm_sdk's own tests (sdk_suite.json) add up, and calls listed as absent are absent."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from tests.waiting import PATIENCE

SUITE = json.loads((Path(__file__).parent / "sdk_suite.json").read_text())
ABSENT = [call for group in SUITE["left out"] for call in group["absent"]]


def test_counts_add_up():
    passing = sum(count for tests in SUITE["passing"].values() for count in tests.values())
    left_out = sum(group["count"] for group in SUITE["left out"])
    assert passing == SUITE["passed"]["in either"]
    assert passing + left_out == SUITE["collected"]
    for mode in ("on", "off"):
        other = "off" if mode == "on" else "on"
        assert SUITE["passed"][f"auth {mode}"] == passing - SUITE[f"only with auth {other}"]


@pytest.mark.parametrize("call", ABSENT)
def test_what_is_absent_is_named(embedded, call):
    with grpc.insecure_channel(embedded.address.removeprefix("grpc://")) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{call}")(b"", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == f"{call} is not implemented by the embedded Pachyderm"
