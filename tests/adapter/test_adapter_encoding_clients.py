"""keys="encode" with other clients than boto3: writing, listing, reading, renaming a folder."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import duckdb_extension_httpfs
import minio
import obstore
import pyarrow.fs
import pytest
import s3fs
from adapter_steps import ACCESS, SECRET, Pachyderm, Step, set_environment
from obstore.store import S3Store

from kfp_pachyderm.adapter.encoding import encode

FOLDER, TARGET = "p=a+b (1)", "São @Paulo!"
NAMES = ["x [2].csv", "deep^/50%2B.csv", "日本語.csv"]
KEYS = [f"{FOLDER}/{name}" for name in NAMES]
BODY = b"n\n7\n"


@pytest.fixture
def written(new_step: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Step]:
    with new_step(encoded=("out",)) as step:
        set_environment(monkeypatch, step)
        yield step


class _Boto3:
    def __init__(self, step: Step) -> None:
        self.bucket = boto3.resource("s3").Bucket("out")

    def put(self, key: str) -> None:
        self.bucket.put_object(Key=key, Body=BODY)

    def list(self, prefix: str) -> list[str]:
        return [one.key for one in self.bucket.objects.filter(Prefix=f"{prefix}/")]

    def get(self, key: str) -> bytes:
        return bytes(self.bucket.Object(key).get()["Body"].read())

    def rename(self, source: str, target: str) -> None:
        for key in self.list(source):
            self.bucket.copy({"Bucket": "out", "Key": key}, key.replace(source, target))
            self.bucket.Object(key).delete()


class _Command:
    """A command-line tool in the venv."""

    def __init__(self, step: Step) -> None:
        self.host = step.host

    def run(self, *words: str, data: bytes = b"", ends: int = 0) -> bytes:
        tool = Path(sys.executable).with_name(self.tool)  # type: ignore[attr-defined]
        command = [str(tool), *self.options(), *words]  # type: ignore[attr-defined]
        # the names are not ASCII
        env = os.environ | {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
        done = subprocess.run(command, input=data, capture_output=True, check=False, env=env)
        assert done.returncode <= ends, done.stderr.decode()
        return done.stdout


class _Aws(_Command):
    tool = "aws"

    def options(self) -> list[str]:
        return ["s3"]

    def put(self, key: str) -> None:
        self.run("cp", "-", f"s3://out/{key}", data=BODY)

    def list(self, prefix: str) -> list[str]:
        # the command exits with 1 when it finds nothing
        lines = self.run("ls", "--recursive", f"s3://out/{prefix}/", ends=1).decode().splitlines()
        return [line[31:] for line in lines]

    def get(self, key: str) -> bytes:
        return self.run("cp", f"s3://out/{key}", "-")

    def rename(self, source: str, target: str) -> None:
        self.run("mv", "--recursive", f"s3://out/{source}/", f"s3://out/{target}/")


class _S3cmd(_Command):
    tool = "s3cmd"

    def options(self) -> list[str]:
        hosts = ["--host", self.host, "--host-bucket", self.host, "--no-ssl", "--no-progress"]
        return ["--config", os.devnull, *hosts, "--access_key", ACCESS, "--secret_key", SECRET]

    def put(self, key: str) -> None:
        self.run("put", "-", f"s3://out/{key}", data=BODY)

    def list(self, prefix: str) -> list[str]:
        lines = self.run("ls", "--recursive", f"s3://out/{prefix}/").decode().splitlines()
        return [line.partition("s3://out/")[2] for line in lines]

    def get(self, key: str) -> bytes:
        return self.run("get", f"s3://out/{key}", "-")

    def rename(self, source: str, target: str) -> None:
        self.run("mv", "--recursive", f"s3://out/{source}/", f"s3://out/{target}/")


class _Minio:
    def __init__(self, step: Step) -> None:
        keys = {"access_key": ACCESS, "secret_key": SECRET, "region": "us-east-1"}
        self.client = minio.Minio(endpoint=step.host, secure=False, **keys)

    def put(self, key: str) -> None:
        self.client.put_object(bucket_name="out", object_name=key, data=io.BytesIO(BODY), length=len(BODY))

    def list(self, prefix: str) -> list[str]:
        found = self.client.list_objects(bucket_name="out", prefix=f"{prefix}/", recursive=True)
        return [str(one.object_name) for one in found]

    def get(self, key: str) -> bytes:
        return bytes(self.client.get_object(bucket_name="out", object_name=key).read())

    def rename(self, source: str, target: str) -> None:
        from minio.commonconfig import CopySource

        for key in self.list(source):
            where = CopySource(bucket_name="out", object_name=key)
            self.client.copy_object(bucket_name="out", object_name=key.replace(source, target), source=where)
            self.client.remove_object(bucket_name="out", object_name=key)


class _Pyarrow:
    def __init__(self, step: Step) -> None:
        keys = {"access_key": ACCESS, "secret_key": SECRET, "region": "us-east-1"}
        self.files = pyarrow.fs.S3FileSystem(endpoint_override=step.host, scheme="http", **keys)

    def put(self, key: str) -> None:
        with self.files.open_output_stream(f"out/{key}") as stream:
            stream.write(BODY)

    def list(self, prefix: str) -> list[str]:
        found = self.files.get_file_info(pyarrow.fs.FileSelector(f"out/{prefix}", recursive=True))
        return [one.path.removeprefix("out/") for one in found if one.is_file]

    def get(self, key: str) -> bytes:
        with self.files.open_input_file(f"out/{key}") as stream:
            return bytes(stream.read())

    def rename(self, source: str, target: str) -> None:
        for key in self.list(source):
            self.files.move(f"out/{key}", f"out/{key.replace(source, target)}")


class _S3fs:
    def __init__(self, step: Step) -> None:
        self.files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)

    def put(self, key: str) -> None:
        self.files.pipe_file(f"out/{key}", BODY)

    def list(self, prefix: str) -> list[str]:
        return [one.removeprefix("out/") for one in self.files.find(f"out/{prefix}")]

    def get(self, key: str) -> bytes:
        return bytes(self.files.cat_file(f"out/{key}"))

    def rename(self, source: str, target: str) -> None:
        # fsspec's mv fails for every folder on S3, because it also copies an object with the folder's name
        self.files.copy(f"out/{source}/", f"out/{target}/", recursive=True)
        self.files.rm(f"out/{source}/", recursive=True)


class _Obstore:
    def __init__(self, step: Step) -> None:
        options = {"allow_http": True}
        keys = {"access_key_id": ACCESS, "secret_access_key": SECRET, "region": "us-east-1"}
        self.store = S3Store("out", endpoint=step.endpoint, client_options=options, **keys)

    def put(self, key: str) -> None:
        obstore.put(self.store, key, BODY)

    def list(self, prefix: str) -> list[str]:
        return [one["path"] for page in obstore.list(self.store, prefix) for one in page]

    def get(self, key: str) -> bytes:
        return bytes(obstore.get(self.store, key).bytes())

    def rename(self, source: str, target: str) -> None:
        for key in self.list(source):
            obstore.rename(self.store, key, key.replace(source, target))


class _DuckDB(_Boto3):
    """Reads by DuckDB; it renames nothing."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        folder = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
        self.db = duckdb.connect()
        self.db.execute(f"LOAD '{next(folder.rglob('*.duckdb_extension'))}'")
        self.db.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{ACCESS}', SECRET '{SECRET}', REGION 'us-east-1', "
            f"ENDPOINT '{step.host}', URL_STYLE 'path', USE_SSL false)"
        )

    def put(self, key: str) -> None:
        self.db.execute(f"COPY (SELECT 7 AS n) TO 's3://out/{key}' (FORMAT csv)")

    def list(self, prefix: str) -> list[str]:
        rows = self.db.execute("SELECT file FROM glob('s3://out/**')").fetchall()
        found = [row[0].removeprefix("s3://out/") for row in rows]
        return [one for one in found if one.startswith(f"{prefix}/")]

    def get(self, key: str) -> bytes:
        pattern = key.replace("[", "[[]")
        ((found,),) = self.db.execute(f"SELECT n FROM read_csv('s3://out/{pattern}')").fetchall()  # noqa: S608
        return f"n\n{found}\n".encode()


CLIENTS = [_Boto3, _Aws, _S3cmd, _Minio, _Pyarrow, _S3fs, _Obstore, _DuckDB]


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_see_the_keys(client: Any, written: Step, pachyderm: Pachyderm) -> None:
    made = client(written)
    for key in KEYS:
        made.put(key)
    assert sorted(made.list(FOLDER)) == sorted(KEYS)
    assert [made.get(key) for key in KEYS] == [BODY] * len(KEYS)
    made.rename(FOLDER, TARGET)
    assert made.list(FOLDER) == []
    assert sorted(made.list(TARGET)) == sorted(f"{TARGET}/{name}" for name in NAMES)
    written.flush()
    assert pachyderm.files(written.commit) == {f"/{encode(f'{TARGET}/{name}')}": BODY for name in NAMES}
