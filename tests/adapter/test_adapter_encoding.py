"""Keys that Pachyderm does not accept: their encoding, and the adapter on commits with encoded file names."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from adapter_steps import Pachyderm, Step, set_environment
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kfp_pachyderm.adapter.buckets.key_rules import is_marker
from kfp_pachyderm.adapter.encoding import decode, encode
from kfp_pachyderm.embedded.store.files.paths import clean

#: Keys as pyiceberg, Hive, Spark and people choose them, and difficult ones.
KEYS = [
    "p=a+b/00000-0-a0b1.parquet",
    "ts=2024-01-01T00:00:00+00:00/part (1).csv",
    "e-mail=me@example.org/[draft]!^.txt",
    "São Paulo/日本語/😀.json",
    "plain/key.txt",
    "plain%2Bencoded/100%",
    "//double//slash",
    "./here/../there",
    "\U0010ffff\U0010ffff/last",
    "new\nline\ttab\x7f",
]
keys = st.text(st.sampled_from("ab/%.+é\U0010ffff\ue000😀 (2B"), min_size=1, max_size=9).filter(
    lambda key: not is_marker(key)
)
any_key = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(any_key | keys)
def test_every_key_has_a_name_that_pachyderm_takes_and_comes_back(key: str) -> None:
    name = encode(key)
    assert clean(name) == "/" + name or is_marker(key)
    assert decode(name) == key
    assert decode(decode(encode(name))) == key
    assert len(name) <= 3 * len(key.encode())


@given(st.text(st.sampled_from("az09 _-.,;:=&$#~'\"<>|\\`/"), min_size=1))
def test_what_pachyderm_can_hold_stays(key: str) -> None:
    if not set(key.split("/")) & {"", ".", ".."}:
        assert encode(key) == key


def test_the_documented_examples() -> None:
    assert encode("p=a+b/x (1).csv") == "p=a%2Bb/x %281%29.csv"
    assert encode("2024-01-01T00:00:00+00:00") == "2024-01-01T00:00:00%2B00:00"
    assert encode("é/100%/../a//b") == "%C3%A9/100%25/%2E%2E/a/%/b"


@pytest.fixture
def written(new_step: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Step]:
    with new_step(encoded=("out",)) as step:
        set_environment(monkeypatch, step)
        yield step


def reading(new_step: Any, step: Step) -> Any:
    """A step that has the first one's output as its input."""
    output = step.config.output
    return new_step(inputs={"found": output}, aliases={}, encoded=("found",))


def content(key: str) -> bytes:
    return key.encode() * 3


def put_all(client: Any, names: list[str]) -> None:
    for key in names:
        client.put_object(Bucket="out", Key=key, Body=content(key))


def read_all(client: Any, bucket: str) -> dict[str, bytes]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    listed = [one["Key"] for page in pages for one in page.get("Contents", [])]
    assert listed == sorted(listed, key=str.encode)
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in listed}


def test_keys_are_refused_unless_they_are_encoded(s3: Any) -> None:
    for key in KEYS:
        if encode(key) != key and "%" not in key:
            with pytest.raises(s3.exceptions.ClientError, match=r's3_enabled\(keys="encode"\)'):
                s3.put_object(Bucket="out", Key=key, Body=b"")


def test_the_step_and_the_next_one_see_the_keys(
    written: Step, new_step: Any, pachyderm: Pachyderm, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {key: content(key) for key in KEYS}
    client = boto3.client("s3")
    put_all(client, KEYS)
    assert read_all(client, "out") == wanted
    client.close()
    assert written.flush().objects == len(KEYS)
    assert pachyderm.files(written.commit) == {"/" + encode(key): content(key) for key in KEYS}
    with reading(new_step, written) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        for key in KEYS:
            assert client.head_object(Bucket="found", Key=key)["ContentLength"] == len(content(key))
        assert read_all(client, "found") == wanted
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket="found", Key="plain%252Bencoded/100%25")
        client.close()


def test_parts_copies_ranges_and_deletions(
    written: Step, pachyderm: Pachyderm, new_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, large = boto3.client("s3"), os.urandom(5 * 2**20 + 7)
    upload: dict[str, Any] = {"Bucket": "out", "Key": "große [Datei]"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    listed = client.list_multipart_uploads(Bucket="out", Prefix="große [")["Uploads"]
    assert [one["Key"] for one in listed] == ["große [Datei]"]
    parts = [
        client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((1, large[: 5 * 2**20]), (2, large[5 * 2**20 :]))
    ]
    named = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": named})
    put_all(client, ["a+b", "a (2)", "gone@once", "gone!twice"])
    client.copy_object(Bucket="out", Key="copy^", CopySource={"Bucket": "out", "Key": "große [Datei]"})
    client.delete_object(Bucket="out", Key="gone@once")
    done = client.delete_objects(Bucket="out", Delete={"Objects": [{"Key": "gone!twice"}, {"Key": "a+b"}]})
    assert [one["Key"] for one in done["Deleted"]] == ["gone!twice", "a+b"]
    ranged = client.get_object(Bucket="out", Key="copy^", Range="bytes=3-9")["Body"].read()
    assert ranged == large[3:10]
    written.flush()
    client.delete_object(Bucket="out", Key="copy^")
    client.close()
    written.flush()
    names = {"/gro%C3%9Fe %5BDatei%5D": large, "/a %282%29": content("a (2)")}
    assert pachyderm.files(written.commit) == names
    with reading(new_step, written) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        client.copy_object(Bucket="out", Key="plain", CopySource={"Bucket": "found", "Key": "a (2)"})
        ranged = client.get_object(Bucket="found", Key="große [Datei]", Range="bytes=5242880-")["Body"].read()
        assert ranged == large[5242880:]
        client.close()
        step.flush()
        assert pachyderm.files(step.commit) == {"/plain": content("a (2)")}


def test_content_that_left_the_spool_and_a_second_delivery(
    new_step: Any, pachyderm: Pachyderm, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"p=+{number}/ä": os.urandom(2**20) for number in range(8)}
    with new_step(spool_limit=3 * 2**20, encoded=("out",)) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        for key, data in contents.items():
            client.put_object(Bucket="out", Key=key, Body=data)
        assert client.get_object(Bucket="out", Key="p=+0/ä")["Body"].read() == contents["p=+0/ä"]
        client.close()
        assert step.flush().objects == step.flush().objects == len(contents)
        assert pachyderm.files(step.commit) == {"/" + encode(key): data for key, data in contents.items()}


def expected(every: list[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """The keys and common prefixes of a listing, computed as S3's documentation defines them."""
    found = []
    for key in sorted(every, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        shown = prefix + head + cut if cut else key
        if shown not in found and not (cut and shown == after):
            found.append(shown)
    return found


def listed(client: Any, bucket: str, prefix: str, delimiter: str, after: str, size: int) -> list[str]:
    asked = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter, "MaxKeys": size}
    found, more = [], {"StartAfter": after} if after else {}
    while True:
        page = client.list_objects_v2(**asked, **more)
        one = [entry["Key"] for entry in page.get("Contents", [])]
        one += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        found += sorted(one, key=str.encode)
        if not page["IsTruncated"]:
            return found
        more = {"ContinuationToken": page["NextContinuationToken"]}


def without_collisions(names: list[str]) -> list[str]:
    kept = sorted(set(names))
    return [key for key in kept if not any(other.startswith(key + "/") for other in kept)]


#: prefix, delimiter, start-after, page size
asked = st.tuples(
    st.text("a/+é", max_size=2), st.sampled_from(["", "/", "é", "+/"]), keys | st.just(""), st.integers(1, 4)
)


@pytest.fixture(scope="module")
def shared(new_step: Any) -> Iterator[Step]:
    with new_step(encoded=("out",)) as step:
        yield step


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.lists(keys, min_size=1, max_size=8).map(without_collisions), st.lists(asked, max_size=3))
@example(["a\U0010ffffb/c", "a\U0010ffff/d", "a"], [("", "a", "", 1), ("", "/", "a/", 1), ("", "é", "", 2)])
@example(["+/\U0010ffff", "+/\U0010ffffa", "+0"], [("", "/", "", 1)])
def test_listings_are_in_order_of_the_keys(
    shared: Step, names: list[str], asked: list[tuple[str, str, str, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, shared)
        client = boto3.client("s3")
        put_all(client, names)
        for prefix, delimiter, after, size in asked:
            found = listed(client, "out", prefix, delimiter, after, size)
            assert found == expected(names, prefix, delimiter, after)
        client.delete_objects(Bucket="out", Delete={"Objects": [{"Key": key} for key in names]})
        client.close()


def test_listings_of_an_input_are_in_order_of_the_keys(
    written: Step, new_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, letters = random.Random(7), "ab/%.+é\U0010ffff\ue000😀 ("
    made = {"".join(number.choices(letters, k=number.randint(1, 6))) for _ in range(120)}
    names = without_collisions([key for key in made if not is_marker(key)])
    client = boto3.client("s3")
    put_all(client, names)
    client.close()
    written.flush()
    with reading(new_step, written) as step:
        set_environment(monkeypatch, step)
        client = boto3.client("s3")
        for delimiter in ("", "/", "é"):
            for prefix, after in (("", ""), ("", "b/"), ("", "é"), ("a", ""), ("😀", ""), ("/", "/+")):
                found = listed(client, "found", prefix, delimiter, after, 20)
                assert found == expected(names, prefix, delimiter, after)
        client.close()


def arrow(step: Step) -> Any:
    return pyarrow.fs.S3FileSystem(
        access_key=step.config.access_key,
        secret_key=step.config.secret_key,
        endpoint_override=step.host,
        scheme="http",
        region="us-east-1",
    )


CITIES = ["São Paulo (SP)", "a+b"]
SCHEMA = pa.schema([("city", pa.string()), ("at", pa.string())])
#: Partition names, as other writers than pyarrow spell them, and as pyarrow does.
RAW, URI = (ds.HivePartitioning(SCHEMA, segment_encoding=kind) for kind in ("none", "uri"))


def test_partitions_of_tables(written: Step, pachyderm: Pachyderm, new_step: Any) -> None:
    moment, out = "2024-01-01T00:00:00+00:00", arrow(written)
    for number, city in enumerate(CITIES):
        name = f"out/raw/city={city}/at={moment}/00000-{number}.parquet"
        pq.write_table(pa.table({"n": [number]}), name, filesystem=out)
    table = pa.table({"n": [0, 1], "city": CITIES, "at": [moment] * 2})
    ds.write_dataset(table, "out/uri", format="parquet", partitioning=URI, filesystem=out)
    written.flush()
    names = pachyderm.files(written.commit)
    assert "/raw/city=S%C3%A3o Paulo %28SP%29/at=2024-01-01T00:00:00%2B00:00/00000-0.parquet" in names
    assert len(names) == 4
    with reading(new_step, written) as step:
        for folder, by in (("raw", RAW), ("uri", URI)):
            read = ds.dataset(f"found/{folder}", format="parquet", partitioning=by, filesystem=arrow(step))
            back = read.to_table().sort_by("n").select(table.schema.names)
            assert back.to_pydict() == table.to_pydict()
            one = read.to_table(filter=ds.field("city") == CITIES[0])
            assert one.column("n").to_pylist() == [0]
