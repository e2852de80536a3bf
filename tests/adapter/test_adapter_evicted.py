"""An object whose content only the output commit holds, read while another one takes its place there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from adapter_steps import ACCESS, SECRET, Pachyderm
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3.exceptions import ProtocolError

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.delivery import WriteBack
from kfp_pachyderm.adapter.operations.endpoint import Adapter
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.adapter.sidecar.over_grpc import Pfs
from kfp_pachyderm.protocol.pfs_messages import CommitName
from kfp_pachyderm.s3.http.server import S3Server
from tests.waiting import PATIENCE

KEY, OTHER = "a/b", "a/c"
#: Several messages of GetFile's.
OLD = os.urandom(5 * 2**20)
#: What the client does to the object: None deletes it.
CHANGES = {"same size": os.urandom(len(OLD)), "shorter": b"new", "longer": OLD * 2, "deleted": None}
#: How a client learns that it has to repeat a GetObject: by a status, or by a connection that is cut.
ENDS = {"between": (ClientError, "ServiceUnavailable"), "amid": (ProtocolError, "Connection broken")}


class Evicting:
    """An adapter in this process, with one object that has left the spool.

    Attributes:
        between: called once, after an object was found and before its content is asked for.
        amid: called once, after the first piece of a content.
    """

    def __init__(self, pachyderm: Pachyderm, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        commit = pachyderm.open_commit()
        name = ("default", commit.repo.name, commit.id)
        address = pachyderm.address
        config = AdapterConfig(address, address, "", {}, name, {}, ACCESS, SECRET, str(folder))
        sidecar = Sidecar(config)
        adapter = Adapter(config, sidecar)
        assert adapter.buckets.output
        self.writeback = WriteBack(sidecar, name, adapter.buckets.output, adapter.spool)
        self.server = S3Server(adapter.wsgi())
        self.between: list[Callable[[], None]] = []
        self.amid: list[Callable[[], None]] = []
        self._hook(monkeypatch)
        self.s3 = self.client(1)
        self.s3.put_object(Bucket="out", Key=KEY, Body=OLD)
        self.s3.put_object(Bucket="out", Key=OTHER, Body=b"other")
        self.send()
        bucket = adapter.buckets.output
        assert [one.spooled for one in bucket.files()] == [False, False]

    def _hook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = Pfs.read

        def read(
            pfs: Pfs, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
        ) -> Iterator[bytes]:
            for act in popped(self.between):
                act()
            for piece in real(pfs, name, path, start, length, timeout):
                yield piece
                for act in popped(self.amid):
                    act()

        monkeypatch.setattr(Pfs, "read", read)

    def client(self, attempts: int) -> Any:
        keys = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        url = f"http://127.0.0.1:{self.server.port}"
        config = Config(retries={"total_max_attempts": attempts}, read_timeout=PATIENCE)
        return boto3.client("s3", endpoint_url=url, **keys, config=config)

    def send(self) -> None:
        """Delivers early, as while a write waits for room in the spool."""
        self.writeback._send_early(pressed=True)

    def change(self, content: bytes | None) -> None:
        """Replaces or deletes the object, and delivers that early."""
        if content is None:
            self.s3.delete_object(Bucket="out", Key=KEY)
            self.s3.put_object(Bucket="out", Key=OTHER, Body=b"something to send")
        else:
            self.s3.put_object(Bucket="out", Key=KEY, Body=content)
        self.send()

    def read(self, client: Any = None, **more: str) -> bytes:
        with (client or self.s3).get_object(Bucket="out", Key=KEY, **more)["Body"] as body:
            return bytes(body.read())

    def listed(self) -> set[str]:
        return {one["Key"] for one in self.s3.list_objects_v2(Bucket="out")["Contents"]}


def popped(acts: list[Callable[[], None]]) -> list[Callable[[], None]]:
    taken = acts[:]
    acts.clear()
    return taken


@pytest.fixture
def step(pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Evicting]:
    made = Evicting(pachyderm, tmp_path, monkeypatch)
    yield made
    made.s3.close()
    made.server.close()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", ["between", "amid"])
def test_a_read_of_what_is_replaced_breaks_off(step: Evicting, change: str, moment: str) -> None:
    new = CHANGES[change]
    getattr(step, moment).append(lambda: step.change(new))
    kind, said = ENDS[moment]
    with pytest.raises(kind, match=said):
        step.read()
    if new is None:
        assert step.listed() == {OTHER}
    else:
        assert step.read() == new
    assert step.writeback.flush(PATIENCE).objects == len(step.listed())


@pytest.mark.parametrize("change", [name for name, new in CHANGES.items() if new])
def test_a_client_that_repeats_gets_the_new_object(step: Evicting, change: str) -> None:
    new = CHANGES[change]
    step.between.append(lambda: step.change(new))
    client = step.client(3)
    assert step.read(client) == new
    client.close()


def test_a_range_of_what_is_replaced_breaks_off(step: Evicting) -> None:
    step.between.append(lambda: step.change(CHANGES["same size"]))
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        step.read(Range="bytes=100-199")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", ["between", "amid"])
def test_a_copy_of_what_is_replaced_is_not_made(step: Evicting, change: str, moment: str) -> None:
    source = {"Bucket": "out", "Key": KEY}
    upload = step.s3.create_multipart_upload(Bucket="out", Key="parts")["UploadId"]
    getattr(step, moment).append(lambda: step.change(CHANGES[change]))
    with pytest.raises(ClientError) as refused:
        step.s3.copy_object(Bucket="out", Key="copy", CopySource=source)
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert "copy" not in step.listed()
    step.change(OLD)
    getattr(step, moment).append(lambda: step.change(CHANGES[change]))
    with pytest.raises(ClientError) as refused:
        step.s3.upload_part_copy(Bucket="out", Key="parts", UploadId=upload, PartNumber=1, CopySource=source)
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert "Parts" not in step.s3.list_parts(Bucket="out", Key="parts", UploadId=upload)


@pytest.mark.parametrize("moment", ["between", "amid"])
def test_a_read_beside_the_delivery_of_others_goes_on(step: Evicting, moment: str) -> None:
    def deliver() -> None:
        step.s3.put_object(Bucket="out", Key=OTHER, Body=b"changed")
        step.s3.put_object(Bucket="out", Key="d", Body=b"more")
        step.send()

    getattr(step, moment).append(deliver)
    assert step.read() == OLD


def test_what_is_written_and_not_delivered_yet_does_not_disturb(step: Evicting) -> None:
    step.between.append(lambda: step.s3.put_object(Bucket="out", Key=KEY, Body=b"later"))
    assert step.read() == OLD
    assert step.read() == b"later"
