"""The process that sends events, and every way in which it can't: nothing of it reaches the step."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from lineage_server import LineageServer, lineage_server  # type: ignore[import-not-found]
from schemas import check  # type: ignore[import-not-found]

import kfp_pachyderm
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE
from kfp_pachyderm.openlineage import configured, library, sender
from kfp_pachyderm.openlineage.facts import Dataset, Facts, read
from tests.long import long
from tests.waiting import wait_for

FACTS = Facts(
    event="START",
    time="2026-11-27T08:00:00.000+00:00",
    store="pachyderm://pachd.pachyderm:30650",
    scheduler="kfp://team-a",
    pipeline="digits",
    run="0e454ad3-6508-4452-8775-2c8e8dfca880",
    task="train",
    job="dc767bdeb444435183b6b1fd65ca53d7",
    inputs=(Dataset("digits/scans", "1" * 32), Dataset("digits/scans", "2" * 32)),
    output=Dataset("digits/train", "dc767bdeb444435183b6b1fd65ca53d7"),
)

Send = Callable[..., str]


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> Send:
    """Sends events with an environment; what the step's log says of it."""

    def of(*events: Facts, **env: str) -> str:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        environment = configured.sender_environment()
        assert environment
        said: list[str] = []
        one = sender.Sender(environment, said.append)
        for facts in events:
            one.tell(facts)
        if one._heard.is_alive():
            # What is tested is what it does, not how fast a busy machine starts it.
            one._lines.put(None)
            one._heard.join()
        one.close()
        return "\n".join(said)

    return of


def test_events_are_what_the_specification_says(send: Send, lineage: LineageServer) -> None:
    assert read(FACTS.line()) == FACTS
    assert send(FACTS, OPENLINEAGE_URL=lineage.url) == ""
    start, abort = lineage.events
    check(start)
    check(abort)
    assert start["run"]["runId"] == "dc767bde-b444-4351-83b6-b1fd65ca53d7"
    assert (start["job"]["namespace"], start["job"]["name"]) == ("kfp://team-a", "digits.train")
    assert start["run"]["facets"]["parent"]["run"]["runId"] == FACTS.run
    assert [one["facets"]["version"]["datasetVersion"][0] for one in start["inputs"]] == ["1", "2"]
    assert start["producer"].endswith(f"/kfp-pachyderm/{kfp_pachyderm.__version__}")
    # the launcher said no end
    assert abort["run"]["facets"]["errorMessage"]["message"] == "the launcher was killed"


def closed_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


QUICK = {"OPENLINEAGE__TRANSPORT__RETRY": '{"total": 0}', "OPENLINEAGE__TRANSPORT__TYPE": "http"}


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (closed_port, "START of digits.train could not be sent: ConnectionError: .*refused"),
        (
            lambda: "http://user:the-key@nobody.invalid/",
            "START of digits.train could not be sent: ConnectionError",
        ),
        (lambda: "no-address", "the configuration can't be used: ValueError"),
    ],
)
def test_what_can_not_be_sent_is_told(send: Send, url: Callable[[], str], seen: str) -> None:
    said = send(FACTS, OPENLINEAGE__TRANSPORT__URL=url(), **QUICK)
    assert re.search(seen, said), said
    assert "the-key" not in said
    assert len(said.splitlines()) <= 2


def test_server_that_answers_500(send: Send) -> None:
    retry = {"OPENLINEAGE__TRANSPORT__RETRY": '{"total": 0, "status_forcelist": []}'}
    with lineage_server(500) as server:
        said = send(FACTS, OPENLINEAGE__TRANSPORT__URL=server.url, **{**QUICK, **retry})
    assert "START of digits.train could not be sent: the server answered 500" in said
    assert "ABORT of digits.train could not be sent: the server answered 500" in said


def test_config_file_that_is_broken(send: Send) -> None:
    Path("openlineage.yml").write_text("transport: {type: http, auth: {apiKey: the-key]\n")
    said = send(FACTS)
    assert "Couldn't read content of the OpenLineage config file" in said
    assert "names no transport" in said
    assert "the-key" not in said


def test_library_that_is_missing(send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "openlineage.py").write_text("raise ModuleNotFoundError(\"No module named 'openlineage'\")\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = send(FACTS, OPENLINEAGE_URL="http://127.0.0.1:1")
    assert said.startswith("OpenLineage: no events are sent, No module named 'openlineage'")
    assert "pip install 'kfp-pachyderm[openlineage]'" in said


def test_process_that_ends_at_once(send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    many = tuple(Dataset(f"p/r{number}", "1" * 32) for number in range(5000))
    # more than a pipe holds
    assert send(replace(FACTS, inputs=many), OPENLINEAGE_URL="http://127.0.0.1:1") == ""


def test_a_step_waits_less_than_a_second() -> None:
    assert sender.WAIT < 1


def test_slow_name_holds_up_no_step(tmp_path: Path) -> None:
    """A name server that answers nothing: it has the question, and the step ends all the same."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.83\noptions timeout:30 attempts:5\n")
    program = tmp_path / "program.py"
    program.write_text(
        "from kfp_pachyderm.openlineage import configured, sender\n"
        "from tests.openlineage.test_openlineage_sender import FACTS\n"
        "one = sender.Sender(configured.sender_environment(), print)\n"
        "one.tell(FACTS)\n"
        "input()\n"
        "one.close()\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        try:
            names.bind(("127.0.0.83", 53))
        except OSError as error:
            pytest.skip(f"no name server can be had here: {error}")
        inside = f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec {sys.executable} {program}"
        root = Path(__file__).parents[2]
        search = os.pathsep.join([str(root), str(root / "tests" / "openlineage")])
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", inside],
            env={**os.environ, "OPENLINEAGE_URL": "http://slow.example.com", "PYTHONPATH": search},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        names.settimeout(0.1)

        def asked() -> Any:
            try:
                return names.recv(512)
            except TimeoutError:
                if process.poll() is not None:
                    pytest.skip(f"no mounts here: {process.stderr and process.stderr.read()}")
                return None

        question = wait_for(asked, "the question for the name")
        assert b"slow" in question
        out, err = process.communicate("end\n")
    assert process.returncode == 0, err
    assert "the last events are not sent yet" in out


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, False),
        ({"OPENLINEAGE_URL": "http://a"}, True),
        ({"OPENLINEAGE_URL": "http://a", "OPENLINEAGE_DISABLED": " TRUE "}, False),
        ({"OPENLINEAGE_CONFIG": "/a.yml"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_NAMESPACE": "team-a"}, False),
        ({"OPENLINEAGE__TRANSPORT__AUTH": "{}"}, False),
    ],
)
def test_what_counts_as_configured(env: dict[str, str], wanted: bool) -> None:
    assert (configured.sender_environment(env) is not None) == wanted


@pytest.mark.parametrize("folder", [".", "~/.openlineage"])
def test_files_of_the_user(folder: str) -> None:
    file = Path(folder).expanduser() / "openlineage.yml"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    assert configured.sender_environment({}) is not None


def test_namespaces_file_is_taken_where_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mounted.yml"
    file.write_text("transport: {type: http, url: 'http://marquez:5000'}")
    monkeypatch.setattr(configured, "NAMESPACE_FILE", str(file))
    env = {
        configured.NAMESPACE_AUTH_VARIABLE: '{"type": "api_key", "apiKey": "k"}',
        "KFP_PACHYDERM_TOKEN": "t",
    }
    found = configured.sender_environment(env)
    assert found
    assert found["OPENLINEAGE_CONFIG"] == str(file)
    assert found["OPENLINEAGE__TRANSPORT__AUTH"] == env[configured.NAMESPACE_AUTH_VARIABLE]
    assert not set(env) & set(found)
    others = configured.sender_environment({**env, "OPENLINEAGE_URL": "http://else"})
    assert others
    # the key is for no other server
    assert not {"OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT__AUTH", *env} & set(others), (
        "the key is for no other server"
    )


def test_console(send: Send) -> None:
    said = send(FACTS, OPENLINEAGE__TRANSPORT__TYPE="console")
    assert '"eventType": "START"' in said


@long
def test_library_is_installed_where_the_launcher_is(tmp_path: Path, lineage: LineageServer) -> None:
    """As in a step's image that has neither: a Python of its own, the launcher in the bootstrap's folder."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "image")], check=True)
    private = tmp_path / f"{library._PRIVATE}x"
    private.mkdir()
    own = Path(kfp_pachyderm.__file__).parent
    (private / own.name).symlink_to(own)
    described = metadata.distribution("kfp-pachyderm")
    (private / "kfp_pachyderm-0.1.0.dist-info").mkdir()
    (private / "kfp_pachyderm-0.1.0.dist-info" / "METADATA").write_text(described.read_text("METADATA") or "")
    process = subprocess.Popen(
        [str(tmp_path / "image" / "bin" / "python"), "-P", "-B", "-m", "kfp_pachyderm.openlineage"],
        env={**os.environ, "PYTHONPATH": str(private), "OPENLINEAGE_URL": lineage.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(FACTS.line())
    process.stdin.flush()
    wait_for(lambda: lineage.events or process.poll() is not None, "the event START")
    said, _ = process.communicate()
    assert said == b""
    assert lineage.types() == ["START", "ABORT"]
    assert library._PACKAGE_VARIABLE == PACKAGE_VARIABLE
