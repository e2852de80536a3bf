"""An existing pipeline's new job is stopped when the connection breaks before its inputs are checked."""

from __future__ import annotations

from typing import Any

import pytest

from kfp_pachyderm.errors import TemporaryError
from kfp_pachyderm.pachd.claims import existing_pipeline
from kfp_pachyderm.pachd.claims.existing_pipeline import ExistingPipeline
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob


def test_a_job_that_can_not_be_looked_at_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    made, stopped = ClaimedJob("default", "edges", "1" * 32), list[Any]()

    def look(*_: Any) -> bool:
        raise TemporaryError("pachd is away")

    monkeypatch.setattr(existing_pipeline, "trying", lambda *_: made)
    monkeypatch.setattr(existing_pipeline, "_reads", look)
    monkeypatch.setattr(existing_pipeline.jobs, "stop", lambda _, job, why: stopped.append((job, why)))
    pipeline = ExistingPipeline("default", "edges", 1, {}, of_step=False)
    with pytest.raises(TemporaryError, match="pachd is away"):
        existing_pipeline._run_again(None, pipeline, {}, 0.0)  # type: ignore[arg-type]
    assert stopped == [(made, "nobody knows what it reads: pachd is away")]
