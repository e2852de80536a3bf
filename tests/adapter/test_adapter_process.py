from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest
from adapter_steps import Pachyderm, Step, set_environment
from pachyderm_sdk.api import pfs

from kfp_pachyderm.adapter.config import Flushed
from kfp_pachyderm.adapter.control.process import AdapterProcess
from kfp_pachyderm.errors import PachydermUnreachableError, WriteBackError
from tests.waiting import PATIENCE


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_nothing_is_sent_without_a_flush(new_step: Any, pachyderm: Pachyderm, monkeypatch: Any) -> None:
    with new_step() as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        client.put_object(Bucket="out", Key="k", Body=b"x")
        client.close()
    assert pachyderm.files(step.commit) == {}


def test_flush_twice_does_not_append(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    s3.put_object(Bucket="out", Key="k", Body=b"once")
    assert step.flush() == step.flush() == Flushed(1, 4)
    assert pachyderm.files(step.commit) == {"/k": b"once"}


def test_flush_of_many_small_objects(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    for number in range(200):
        s3.put_object(Bucket="out", Key=f"d/{number}", Body=b"%d" % number)
    assert step.flush().objects == 200
    files = pachyderm.client.pfs.walk_file(file=pfs.File(commit=step.commit, path="/d"))
    assert sum(1 for info in files if info.size_bytes and not info.file.path.endswith("/")) == 200


def test_resend_after_the_output_was_erased(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    s3.put_object(Bucket="out", Key="k", Body=b"kept in the spool")
    step.flush()
    erase = [
        pfs.ModifyFileRequest(set_commit=step.commit),
        pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/k")),
    ]
    pachyderm.client.pfs.modify_file(iter(erase))
    assert pachyderm.files(step.commit) == {}
    assert step.process.resend(PATIENCE) == Flushed(1, 17)
    assert pachyderm.files(step.commit) == {"/k": b"kept in the spool"}


def test_pachd_is_asked_where_the_sidecar_is_closed(
    new_step: Any, pachyderm: Pachyderm, monkeypatch: Any
) -> None:
    with new_step(sidecar=f"grpc://127.0.0.1:{free_port()}") as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        client.put_object(Bucket="out", Key="k", Body=b"x")
        client.close()
        assert step.flush() == Flushed(1, 1)


def test_a_flush_that_fails_names_the_keys(new_step: Any, pachyderm: Pachyderm, monkeypatch: Any) -> None:
    with new_step(output=("default", "images", pachyderm.input[2])) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        client.put_object(Bucket="out", Key="some key", Body=b"x")
        client.close()
        with pytest.raises(WriteBackError, match="'some key'"):
            step.flush()


def test_flush_has_a_deadline(new_step: Any, monkeypatch: Any) -> None:
    closed = f"grpc://127.0.0.1:{free_port()}"
    with new_step(sidecar=closed, pachd=closed) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        client.put_object(Bucket="out", Key="k", Body=b"x")
        client.close()
        # the adapter answers with its own error before the launcher's deadline for it passes
        with pytest.raises(WriteBackError, match="did not take 'k'"):
            step.process.flush(2)


def test_a_step_without_output(new_step: Any, monkeypatch: Any) -> None:
    with new_step(output=None, aliases={}) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        assert [one["Name"] for one in client.list_buckets()["Buckets"]] == ["images"]
        client.close()
        assert step.flush() == Flushed(0, 0)


def test_the_process_ends_with_its_context(new_step: Any) -> None:
    with new_step() as step:
        pid = step.process.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_a_process_that_is_gone_is_an_error(new_step: Any) -> None:
    with new_step() as step:
        os.kill(step.process.pid, 9)
        with pytest.raises(PachydermUnreachableError, match="ended"):
            step.flush()


def test_no_secret_in_arguments_or_environment(new_step: Any) -> None:
    with new_step(token="job-token") as step:
        place = Path(f"/proc/{step.process.pid}")
        seen = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        assert b"job-token" not in seen
        assert step.config.secret_key.encode() not in seen
        assert "job-token" not in repr(step.config)


def test_flush_before_configure() -> None:
    from kfp_pachyderm.errors import ProtocolError

    with AdapterProcess() as process, pytest.raises(ProtocolError):
        process.flush(PATIENCE)


def test_an_upload_that_breaks_off_leaves_nothing(s3: Any, step: Step) -> None:
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "out", "Key": "half"})
    connection = http.client.HTTPConnection(step.host, timeout=PATIENCE)
    connection.putrequest("PUT", url.removeprefix(step.endpoint))
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(b"x" * 1000)
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.getresponse().status == 400
    connection.close()
    assert "Contents" not in s3.list_objects(Bucket="out")
    assert os.listdir(step.config.spool + "/written") == []


def test_writes_wait_for_the_sending(new_step: Any, pachyderm: Pachyderm, monkeypatch: Any) -> None:
    with new_step(spool_limit=3 * 2**20) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        contents = {f"d/{number}": os.urandom(2**20) for number in range(12)}
        for key, content in contents.items():
            client.put_object(Bucket="out", Key=key, Body=content)
        with client.get_object(Bucket="out", Key="d/0", Range="bytes=5-9")["Body"] as body:
            assert body.read() == contents["d/0"][5:10]
        client.copy_object(Bucket="out", Key="copy", CopySource={"Bucket": "out", "Key": "d/0"})
        client.delete_object(Bucket="out", Key="d/0")
        client.put_object(Bucket="out", Key="d/1", Body=b"new")
        with pytest.raises(client.exceptions.ClientError, match="spool's limit of 3145728 bytes"):
            client.put_object(Bucket="out", Key="too large", Body=b"x" * 4 * 2**20)
        client.close()
        assert step.flush().objects == 12
        expected = {"/copy": contents.pop("d/0"), "/d/1": b"new"}
        del contents["d/1"]
        assert pachyderm.files(step.commit) == expected | {"/" + key: data for key, data in contents.items()}
        with pytest.raises(WriteBackError, match="no room to keep"):
            step.process.resend(PATIENCE)


def test_an_erased_commit_is_filled_again_by_the_flush(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    s3.put_object(Bucket="out", Key="k", Body=b"content")
    step.flush()
    erase = pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/k"))
    pachyderm.client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=step.commit), erase]))
    assert step.flush() == Flushed(1, 7)
    assert pachyderm.files(step.commit) == {"/k": b"content"}


def test_what_was_sent_and_then_changed_is_corrected(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    s3.put_object(Bucket="out", Key="a", Body=b"file")
    s3.put_object(Bucket="out", Key="gone", Body=b"x")
    s3.put_object(Bucket="out", Key="over", Body=b"a long first version")
    step.flush()
    s3.delete_objects(Bucket="out", Delete={"Objects": [{"Key": "a"}, {"Key": "gone"}]})
    s3.put_object(Bucket="out", Key="a/b", Body=b"in a directory")
    s3.put_object(Bucket="out", Key="over", Body=b"second")
    assert step.flush().objects == 2
    assert pachyderm.files(step.commit) == {"/a/b": b"in a directory", "/over": b"second"}
