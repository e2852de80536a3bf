"""The shared endpoint: who may use it, what one address's flood leaves to the others, how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from adapter_steps import ACCESS, INPUT_FILES, SECRET, Pachyderm, Step
from botocore.config import Config
from botocore.exceptions import ClientError
from raw_http import receive, request, seal, signed, statuses

from kfp_pachyderm.errors import PermanentError
from kfp_pachyderm.s3.client import S3Client
from kfp_pachyderm.s3.http.server import MOST_THREADS
from tests.other_hosts import Hosts, other_hosts
from tests.waiting import PATIENCE, wait_for

FLOOD = Path(__file__).with_name("flood.py")
#: A program that reads and writes from another host; its arguments: `ENDPOINT NAME`.
FRIEND = """
import sys
from kfp_pachyderm.s3.client import S3Client
client = S3Client(sys.argv[1], "step-access", "step-secret")
for number in range(10):
    with client.ask("PUT", "out", f"{sys.argv[2]}/{number}", body=[b"x" * 1000], length=1000) as put:
        assert put.status == 200, put.body.read()
    with client.ask("GET", "images", "a.txt") as got:
        assert got.body.read() == b"hello one"
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with other_hosts(2) as found:
        yield found


@pytest.fixture(scope="module")
def sharing(new_step: Any, hosts: Hosts) -> Iterator[Step]:
    """A step whose `endpoint` is the shared one."""
    with shared(new_step, hosts.here) as made:
        yield made


@contextmanager
def shared(new_step: Any, host: str) -> Iterator[Step]:
    with new_step(share=True) as made:
        yield Step(made.process, made.process.share(host, deadline()), made.commit, made.config)


def deadline() -> float:
    return time.monotonic() + PATIENCE


def place(step: Step) -> tuple[str, int]:
    parts = urlsplit(step.endpoint)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def connect(step: Step) -> socket.socket:
    return socket.create_connection(place(step), timeout=PATIENCE)


def answer(step: Step, data: bytes) -> bytes:
    with connect(step) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return receive(sock)


def client(endpoint: str, access: str = ACCESS, secret: str = SECRET, **config: Any) -> Any:
    settings = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config)
    keys = {"aws_access_key_id": access, "aws_secret_access_key": secret}
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=settings, **keys)


def numbers(step: Step) -> tuple[int, int]:
    """The numbers of the adapter's threads and of its open files."""
    process = Path(f"/proc/{step.process.pid}")
    lines = (process / "status").read_text().splitlines()
    threads = next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))
    return threads, len(list((process / "fd").iterdir()))


@contextmanager
def flooded(step: Step, hosts: Hosts, kind: str, count: int, head: Path | None = None) -> Iterator[None]:
    host, port = place(step)
    source = hosts.others[0]
    arguments = [source.address, host, port, kind, count, *([head] if head else [])]
    with subprocess.Popen(
        source.command(sys.executable, FLOOD, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"flooding\n"
        try:
            yield
            assert process.poll() is None
        finally:
            process.kill()


def served(step: Step, hosts: Hosts, name: str) -> None:
    """Checks that a host other than the flooding one is served."""
    argv = hosts.others[1].command(sys.executable, "-c", FRIEND, step.endpoint, name)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "count"), [("silent", 2000), ("heads", 1000), ("unsigned", 100), ("connects", 100)]
)
def test_a_flood_without_keys_starves_nobody(sharing: Step, hosts: Hosts, kind: str, count: int) -> None:
    before, _ = numbers(sharing)
    with flooded(sharing, hosts, kind, count):
        served(sharing, hosts, kind)
        # an address that has signed nothing gets eight threads and a quarter of the connections
        threads, files = numbers(sharing)
        assert threads < before + 40
        assert files < 700
        # the step itself is served, too
        with S3Client(sharing.endpoint, ACCESS, SECRET).ask("GET", "images", "a.txt") as got:
            assert got.body.read() == INPUT_FILES["/a.txt"]
    assert sharing.peak_memory() < 200 * 2**20


def test_a_flood_of_good_requests_starves_nobody(sharing: Step, hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "ask").write_bytes(request("GET", "images/a.txt"))
    before, _ = numbers(sharing)
    with flooded(sharing, hosts, "requests", 256, tmp_path / "ask"):
        served(sharing, hosts, "requests")
        # one address gets at most 16 running threads, or the other host would wait for each of them
        assert numbers(sharing)[0] < before + 40


def test_a_flood_with_keys_of_bodies_that_do_not_come_starves_nobody(
    sharing: Step, hosts: Hosts, tmp_path: Path
) -> None:
    head, _ = signed("PUT", "out/stalled", headers={"content-length": str(2**24)})
    (tmp_path / "head").write_bytes(head + b"\r\n")
    with flooded(sharing, hosts, "bodies", 600, tmp_path / "head"):
        # an address that has signed gets more, and leaves as much free as it holds
        wait_for(lambda: numbers(sharing)[0] > MOST_THREADS // 2, "the flood to take all it can")
        served(sharing, hosts, "bodies")
        assert numbers(sharing)[0] < MOST_THREADS
    assert sharing.peak_memory() < 300 * 2**20


def test_many_objects_are_read_in_turns(sharing: Step) -> None:
    """A merge keeps more inputs open than one address gets running threads."""
    s3 = client(sharing.endpoint, max_pool_connections=50)
    bodies = [s3.get_object(Bucket="images", Key="big.bin")["Body"] for _ in range(50)]
    assert {body.read(1000) for body in bodies} == {INPUT_FILES["/big.bin"][:1000]}
    for body in bodies:
        body.close()
    s3.close()


def test_only_version_4_of_the_steps_keys_will_do(sharing: Step) -> None:
    for wrong, code in (
        (client(sharing.endpoint, access="nobody"), "InvalidAccessKeyId"),
        (client(sharing.endpoint, secret="other"), "SignatureDoesNotMatch"),
        (client(sharing.endpoint, signature_version="s3"), "InvalidRequest"),
    ):
        with pytest.raises(ClientError, match=code):
            wrong.list_objects_v2(Bucket="images")
        wrong.close()
    assert statuses(
        answer(sharing, b"GET /images/a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    ) == [403]


def test_presigned_addresses_are_signed_too(sharing: Step) -> None:
    def fetched(url: str) -> bytes:
        path = url.removeprefix(sharing.endpoint)
        return answer(sharing, f"GET {path} HTTP/1.1\r\nHost: {sharing.host}\r\n\r\n".encode())

    params = {"Bucket": "images", "Key": "a.txt"}
    good = client(sharing.endpoint, signature_version="s3v4")
    url = good.generate_presigned_url("get_object", Params=params)
    assert fetched(url).endswith(b"\r\n\r\n" + INPUT_FILES["/a.txt"])
    assert b"SignatureDoesNotMatch" in fetched(url.replace("a.txt", "empty"))
    assert b"SignatureDoesNotMatch" in fetched(url.replace("Expires=3600", "Expires=3601"))
    assert b"Request has expired" in fetched(good.generate_presigned_url("get_object", params, ExpiresIn=-1))
    old = client(sharing.endpoint, signature_version="s3")
    assert b"Please use AWS4-HMAC-SHA256" in fetched(old.generate_presigned_url("get_object", params))
    for one in (good, old):
        one.close()


def test_a_signature_is_good_for_its_own_request_alone(sharing: Step) -> None:
    """An overheard request may be sent again, as in S3. A changed request, or a late one, is refused."""
    heard = request("PUT", "out/heard", {}, {}, b"good")
    close = b"HTTP/1.1\r\nConnection: close"
    for changed in (
        heard.replace(b"out/heard", b"out/other"),
        heard.replace(b"PUT ", b"DELETE "),
        heard.replace(b"/out/heard HTTP", b"/out/heard?acl HTTP"),
    ):
        assert statuses(answer(sharing, changed.replace(b"HTTP/1.1", close, 1))) == [403]
    old = {"host": "127.0.0.1", "x-amz-date": "20200101T000000Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    made = seal("GET", "/images/a.txt", "", old)
    lines = [f"{name}: {value}" for name, value in old.items()]
    late = "\r\n".join(["GET /images/a.txt HTTP/1.1", *lines, f"Authorization: {made.authorization}", "", ""])
    assert b"RequestTimeTooSkewed" in answer(sharing, late.encode())


@pytest.mark.parametrize(
    "line",
    [
        "GET /", "GET //", "GET /..", "GET /../../etc/passwd", "GET /out/%2e%2e/%2e%2e/etc/passwd",
        "GET /spool", "GET http://127.0.0.1:1/images/a.txt", "OPTIONS *", "OPTIONS /out", "TRACE /",
        "CONNECT 127.0.0.1:1", "POST /configure", "POST /flush", "GET /v1/status", "POST /v1/finish",
        "GET /metrics", "PRI *",
    ],
)  # fmt: skip
def test_nothing_but_buckets_is_there(sharing: Step, line: str) -> None:
    body = json.dumps({"op": "flush", "timeout": 1})
    head = f"{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    (code,) = statuses(answer(sharing, head.encode()))
    assert 400 <= code < 500


def test_no_other_repo_is_there(sharing: Step, pachyderm: Pachyderm) -> None:
    other = pachyderm.open_commit().repo.name
    s3 = client(sharing.endpoint)
    assert {one["Name"] for one in s3.list_buckets()["Buckets"]} == {"images", "photos", "out", "edges"}
    for bucket in (other, f"master.{other}", f"{pachyderm.input[2]}.master.images.default", "spool"):
        with pytest.raises(ClientError, match="NoSuchBucket"):
            s3.list_objects_v2(Bucket=bucket)
    with pytest.raises(ClientError, match="read-only"):
        s3.put_object(Bucket="images", Key="a.txt", Body=b"spoilt")
    s3.close()


class Writer(threading.Thread):
    """Puts objects until it is refused, and keeps the keys that were acknowledged."""

    def __init__(self, endpoint: str, name: str) -> None:
        super().__init__()
        self.endpoint, self.prefix = endpoint, name
        self.acknowledged: list[str] = []
        self.tried = 0

    def run(self) -> None:
        asking = S3Client(self.endpoint, ACCESS, SECRET)
        with suppress(OSError):
            while True:
                key = f"{self.prefix}/{self.tried}"
                self.tried += 1
                with asking.ask("PUT", "out", key, body=[b"x" * 5000], length=5000) as put:
                    if put.status != 200:
                        return
                    self.acknowledged.append(key)


def test_what_is_acknowledged_is_in_and_the_rest_is_refused(
    new_step: Any, hosts: Hosts, pachyderm: Pachyderm
) -> None:
    with shared(new_step, hosts.here) as step:
        loopback = client(step.endpoint)
        writers = [Writer(step.endpoint, f"w{number}") for number in range(6)]
        half, idle = connect(step), connect(step)
        head, _ = signed("PUT", "out/half", headers={"content-length": "1000000"})
        half.sendall(head + b"\r\n" + b"x" * 100_000)
        for one in writers:
            one.start()
        wait_for(lambda: all(len(one.acknowledged) > 3 for one in writers))
        step.process.unshare(deadline())
        # each connection is refused, none hangs
        with pytest.raises(ConnectionRefusedError):
            connect(step)
        assert 200 not in statuses(receive(half))
        assert receive(idle) == b""
        for one in writers:
            one.join(PATIENCE)
            assert not one.is_alive()
        sent = step.flush()
        acknowledged = {f"/{key}" for one in writers for key in one.acknowledged}
        assert set(pachyderm.files(step.commit)) == acknowledged
        assert sent.objects == len(acknowledged)
        for sock in (half, idle):
            sock.close()
        loopback.close()


def test_who_does_not_take_an_answer_holds_up_no_end(new_step: Any, hosts: Hosts) -> None:
    with shared(new_step, hosts.here) as step, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(place(step))
        slow.sendall(request("GET", "images/big.bin"))
        assert slow.recv(1)
        step.process.unshare(deadline())
        # the answer ends before all of the object has arrived
        slow.settimeout(PATIENCE)
        assert len(receive(slow)) < len(INPUT_FILES["/big.bin"])


def test_it_can_be_shared_again(new_step: Any, hosts: Hosts, pachyderm: Pachyderm) -> None:
    """A step whose input makes several datums runs its command several times."""
    with shared(new_step, hosts.here) as step:
        before = numbers(step)[0]
        for number in range(3):
            with S3Client(step.endpoint, ACCESS, SECRET).ask(
                "PUT", "out", f"{number}", body=[b"x"], length=1
            ) as put:
                assert put.status == 200
            step.process.unshare(deadline())
            step.flush()
            step.endpoint = step.process.share(hosts.here, deadline())
        assert set(pachyderm.files(step.commit)) == {"/0", "/1", "/2"}
        wait_for(lambda: numbers(step)[0] <= before + 12, "threads to end with their server")


def test_the_step_itself_writes_nothing_more_either(step: Step, hosts: Hosts) -> None:
    """A process that outlives the command can't write by the step's own 127.0.0.1 either."""
    step.process.share(hosts.here, deadline())
    step.process.unshare(deadline())
    s3 = client(step.endpoint)
    for call in (
        lambda: s3.put_object(Bucket="out", Key="a", Body=b"a"),
        lambda: s3.create_multipart_upload(Bucket="out", Key="a"),
        lambda: s3.delete_object(Bucket="out", Key="a"),
    ):
        with pytest.raises(ClientError, match="the step's command has ended"):
            call()
    s3.close()


def test_two_steps_of_one_host_have_two_ports(new_step: Any, sharing: Step, hosts: Hosts) -> None:
    with shared(new_step, hosts.here) as other:
        assert place(other) != place(sharing)


def test_an_address_of_ipv6(new_step: Any) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with shared(new_step, "::1") as step:
        assert step.endpoint.startswith("http://[::1]:")
        s3 = client(step.endpoint)
        s3.put_object(Bucket="out", Key="a", Body=b"a")
        assert s3.get_object(Bucket="out", Key="a")["Body"].read() == b"a"
        s3.close()


def test_an_address_that_is_not_this_hosts(new_step: Any) -> None:
    with new_step(share=True) as step, pytest.raises(PermanentError, match=r"can't listen on 203\.0\.113\.7"):
        step.process.share("203.0.113.7", deadline())
