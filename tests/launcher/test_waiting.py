"""What a step says while it waits for its job: each reason once, and what to do about an image."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter

import pytest
from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.errors import TemporaryError
from kfp_pachyderm.launcher.config import HolderConfig
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.crashes import Crashes, times
from kfp_pachyderm.pachd.sdk import pps

IMAGE = "registry.invalid/team/python:3.11"
WAYS = ("HolderOptions(image=", "holder_image", "ConfigMap kfp-pachyderm", "KFP_PACHYDERM_HOLDER_IMAGE")


def test_an_image_that_can_not_be_had_is_told_once_with_the_way_out(
    step: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    step.fill()
    ended = step.run("raise SystemExit(9)", step.config(holder=HolderConfig(image=IMAGE), timeout=14.0))
    assert ended.code == 1
    (told,) = [line for line in ended.err.splitlines() if "waiting for the pipeline to recover" in line]
    assert IMAGE in told
    assert [way for way in WAYS if way not in told] == []
    last = ended.err.strip().splitlines()[-1]
    assert "did not start in time" in last
    assert "crashing" in last


def _info(reason: str, **fields: object) -> pps.PipelineInfo:
    state = pps.PipelineState.PIPELINE_CRASHING
    return pps.PipelineInfo(**{"state": state, "reason": reason, **fields})


def test_reasons_that_take_turns_are_one_text_with_counts() -> None:
    crashes = Crashes()
    for reason in ("ErrImagePull", "Back-off pulling image") * 20:
        crashes.add(_info(reason))
    assert str(crashes) == "ErrImagePull (20 times); Back-off pulling image (20 times)"
    assert not crashes.over


@pytest.mark.parametrize(
    ("reason", "image", "ours", "wanted"),
    [
        (f'Back-off pulling image "{IMAGE}"', IMAGE, True, ["holder_image"]),
        ('failed to pull and unpack image "docker.io/library/python:3"', "python:3", True, ["holder_image"]),
        (f'Back-off pulling image "{IMAGE}"', IMAGE, False, ["transform.image"]),
        ('Back-off pulling image "pachyderm/pachd:2.12"', "python:3.11-slim", True, []),
        ("0/1 nodes are available: 1 Insufficient memory.", "python:3.11-slim", True, []),
    ],
)
def test_an_images_way_out_is_told_for_that_image_only(
    reason: str, image: str, ours: bool, wanted: list[str]
) -> None:
    annotations = {"kfp-pachyderm/owner": "kfp-pachyderm"} if ours else {}
    details = pps.PipelineInfoDetails(transform=pps.Transform(image=image))
    details.metadata.annotations = annotations
    crashes = Crashes()
    assert crashes.add(_info(reason))
    crashes.describe(_info(reason, details=details))
    assert not crashes.add(_info(reason))
    assert [way for way in ("holder_image", "transform.image") if way in str(crashes)] == wanted


def test_a_pipeline_that_has_failed_is_given_no_time(pachd: Pachd) -> None:
    crashes = Crashes()
    crashes.add(_info("no such secret", state=pps.PipelineState.PIPELINE_FAILURE))
    assert crashes.over


def test_a_pipeline_that_recovers_starts_anew() -> None:
    crashes = Crashes()
    crashes.add(_info("ErrImagePull"))
    assert crashes.since
    crashes.add(pps.PipelineInfo(state=pps.PipelineState.PIPELINE_RUNNING))
    assert not crashes.since


def test_any_two_reasons_that_take_turns_are_told_once_each(
    pachd: Pachd, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(jobs, "_LOOK_EVERY", 0.0)
    found = jobs._Reasons(pachd, ClaimedJob("default", "edges", "0" * 32), told.append)
    turns = iter(("the node", "the image") * 20)
    monkeypatch.setattr(found, "_crash", lambda: "")
    monkeypatch.setattr(found, "_queue", lambda _: next(turns))
    for _ in range(40):
        found.look(pps.JobInfo(state=pps.JobState.JOB_CREATED))
    assert [re.sub(".* for ", "", line) for line in told] == ["the node", "the image"]
    assert str(found) == "the node (20 times); the image (20 times)"


def test_one_reason_needs_no_count() -> None:
    assert times(Counter({"the worker": 7})) == "the worker"


def job_in(line: str) -> str:
    """The job's ID in the line that announces it."""
    return line.split("job=")[1].split()[0]


def running(step: Runner) -> tuple[subprocess.Popen[str], str]:
    """A step whose command runs, and its job's ID."""
    step.fill()
    process = step.start("import time; print('running', flush=True); time.sleep(600)")
    assert process.stdout
    job = job_in(process.stdout.readline())
    assert process.stdout.readline() == "running\n"
    return process, job


def test_a_wait_that_ends_before_its_first_look_says_what_it_waited_for(step: Runner) -> None:
    first, ahead = running(step)
    second = step.start("pass")
    assert second.stdout
    queued = ClaimedJob("default", step.name, job_in(second.stdout.readline()))
    for wait in (jobs.wait_for_datum, jobs.follow):
        with pytest.raises(TemporaryError) as late:
            wait(step.pachd, queued, time.monotonic() + 0.2, print)
        assert f"it is CREATED, and waited for: job {ahead} of the same pipeline, 1 in" in str(late.value)
        assert "give it more time" in str(late.value)
        with pytest.raises(TemporaryError, match="pachd said nothing of it"):
            wait(step.pachd, queued, time.monotonic() - 1, print)
    first.terminate()
    step.end(first)
    assert step.end(second).code == 0


def test_a_pipeline_that_can_not_be_changed_says_for_which_job(step: Runner) -> None:
    first, ahead = running(step)
    late = step.run("pass", step.config(s3_out=False, timeout=2.0))
    assert f"its job {ahead} is RUNNING still, and would be killed; give it more time by" in late.err
    first.terminate()
    step.end(first)
