"""What a step's log has of ours: few lines, each worth reading."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.adapter.config import Flushed, Progress
from kfp_pachyderm.launcher import progress
from kfp_pachyderm.launcher.quiet import quieted
from tests.terminal import read_line

MIB = 2**20
WRITE = """
import boto3
boto3.client("s3").put_object(Bucket="out", Key="a", Body=b"x" * 1536)
print("the user's own line")
"""
ID, SECONDS = "[0-9a-f]{32}", r"\d+\.\d s"


def ours(text: str) -> list[str]:
    """Our lines, without those of a step that waits for long: there are such on a busy machine only."""
    lines = [line for line in text.splitlines() if line.startswith("[kfp-pachyderm] ")]
    return [line.removeprefix("[kfp-pachyderm] ") for line in lines if ", waiting for " not in line]


def matches(found: list[str], wanted: list[str]) -> bool:
    return len(found) == len(wanted) and all(map(re.fullmatch, wanted, found))


def test_the_log_of_a_step_is_these_lines(step: Runner) -> None:
    commit = step.fill()
    ended = step.run(WRITE)
    name = f"default/{step.name}"
    opened = rf"job={ID} pipeline={name} commit={name}@{ID} from images=default/in-{step.name}@{commit}"
    assert matches(ours(ended.out), [opened]), ended.out
    assert "the user's own line" in ended.out.splitlines()
    assert matches(
        ours(ended.err),
        [
            f"delivered: 1 object, 1.5 KiB, verified, in {SECONDS}",
            f"job {ID} SUCCESS: 1.5 KiB in {SECONDS}; look further: kfp-pachyderm lineage {name}@{ended.job}",
        ],
    ), ended.err


def test_the_log_of_a_step_that_fails_is_these_lines(step: Runner) -> None:
    step.fill()
    ended = step.run("raise SystemExit(3)")
    assert len(ours(ended.out)) == 1
    assert ours(ended.err) == [
        "the step's command ended with exit code 3, and its job failed; "
        f"look further: kfp-pachyderm lineage default/{step.name}@{ended.job}"
    ]


def test_a_step_that_only_reads_delivers_nothing(step: Runner) -> None:
    step.fill()
    ended = step.run("", step.config(s3_out=False))
    assert ended.code == 0
    assert len(ours(ended.err)) == 1, ended.err


def shown(monkeypatch: pytest.MonkeyPatch, fd: int) -> None:
    """One delivery, with our lines going to the file descriptor."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    before = os.dup(2)
    os.dup2(fd, 2)
    try:
        with progress.Delivery() as delivery:
            # Falls back where a stream has to be sent again.
            for sent in (15, 30, 20, 60):
                delivery.told(Progress(sent * MIB, 60 * MIB))
            delivery.done(Flushed(2, 60 * MIB), again=True)
    finally:
        os.dup2(before, 2)
        os.close(before)


def test_on_a_pipe_a_slow_delivery_is_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w+") as log:
        shown(monkeypatch, log.fileno())
        log.seek(0)
        assert matches(
            ours(log.read()),
            [
                f"delivering: 15.0 MiB of 60.0 MiB, {SECONDS}",
                f"delivering: 30.0 MiB of 60.0 MiB, {SECONDS}",
                f"delivering: 30.0 MiB of 60.0 MiB, {SECONDS}",
                f"delivering: 60.0 MiB sent, being verified, {SECONDS}",
                f"delivered again: 2 objects, 60.0 MiB, verified, in {SECONDS}",
            ],
        )


def test_lines_come_seconds_apart(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.Delivery() as delivery:
        for sent in range(100):
            delivery.told(Progress(sent, 100))
    assert len(ours(capfd.readouterr().err)) < 10


def test_on_a_terminal_a_slow_delivery_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, theirs = os.openpty()
    try:
        shown(monkeypatch, theirs)
        text = read_line(terminal)
    finally:
        os.close(terminal)
        os.close(theirs)
    *bars, last = [one for one in text.split("\r\x1b[K") if one]
    assert [bar.count("#") for bar in bars] == [7, 15, 15, 30]
    assert all("\n" not in bar for bar in bars), "each takes the place of the one before"
    assert re.fullmatch(rf"\[kfp-pachyderm\] delivered again: .* {SECONDS}\r\n", last)


SCRIPT = """
program_path=$(mktemp -d)
printf "%s" "$0" > "$program_path/ephemeral_component.py"
_KFP_RUNTIME=true python3 -m kfp.dsl.executor_main --component_module_path \
 "$program_path/ephemeral_component.py" "$@"
"""


@pytest.mark.parametrize(
    "command",
    [
        ["echo", "-m kfp.dsl.executor_main"],
        ["python3", "-m", "mine"],
        ["sh", "-c", "python3 -m kfp.dsl.executor_main_of_mine"],
        [],
    ],
)
def test_other_commands_stay_as_they_are(command: list[str]) -> None:
    assert quieted(command) == command


def test_the_users_source_stays_as_it_is() -> None:
    command = ["sh", "-ec", SCRIPT, SCRIPT, "--executor_input", "{}"]
    _, _, script, *rest = quieted(command)
    assert script != SCRIPT
    assert rest == command[3:]


def test_a_containerized_component_is_quiet_too() -> None:
    command = ["python3", "-m", "kfp.dsl.executor_main", "--function_to_execute", "f"]
    program, flag, *rest = quieted(command)
    assert (program, flag, rest[1:]) == ("python3", "-c", command[3:])
    checked = subprocess.run([sys.executable, flag, rest[0]], capture_output=True, text=True, check=False)
    assert "the following arguments are required: --function_to_execute" in checked.stderr
