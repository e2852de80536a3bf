"""A flush reports its progress."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import boto3
import pytest
from adapter_steps import Pachyderm, set_environment

from kfp_pachyderm.adapter.config import Flushed, Progress
from tests.faults.fault_links import Link
from tests.waiting import PATIENCE

SIZE = 8 * 2**20


def test_a_slow_flush_tells_how_far_it_is(
    new_step: Any, pachyderm: Pachyderm, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Progress] = []
    with closing(Link()) as link:
        host = link.route(pachyderm.address.removeprefix("grpc://"))
        with new_step(sidecar=f"grpc://{host}") as step:
            set_environment(monkeypatch, step)
            with closing(boto3.client("s3")) as s3:
                s3.put_object(Bucket="out", Key="k", Body=os.urandom(SIZE))
            link.when(lambda _, sent: sent > 3 * 2**20, lambda: link.cut(PATIENCE))

            def told(now: Progress) -> None:
                heard.append(now)
                if now.sent and len(heard) > 1:
                    link.mend()

            assert step.process.flush(PATIENCE, told) == Flushed(1, SIZE)
            assert step.process.flush(PATIENCE, told) == Flushed(1, SIZE)
    assert {one.total for one in heard} == {SIZE}
    assert any(0 < one.sent < SIZE for one in heard)
