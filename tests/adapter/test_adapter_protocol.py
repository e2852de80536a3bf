"""Operations that newer S3 clients use: checksums of every kind, parts, attributes, listings in pages."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from typing import Any

import anycrc
import boto3
import pytest
from adapter_steps import ACCESS, INPUT_FILES, SECRET, Step
from botocore.config import Config
from botocore.exceptions import ClientError
from raw_http import request, signed, status

PART = 5 * 2**20
BODIES = (b"a" * PART, b"123456789")
DIGESTS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: anycrc.Model("CRC32-ISCSI").calc(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: anycrc.Model("CRC64-NVME").calc(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
#: Checksums of b"123456789": the check values of the catalogue of CRCs, and of the SHA standards.
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.fixture(scope="module")
def step(new_step: Any) -> Iterator[Step]:
    with new_step() as made:
        yield made


@pytest.fixture(scope="module")
def s3(step: Step) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=step.endpoint,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        # botocore tries again, with pauses, after BadDigest
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def code(error: Any) -> tuple[int, str]:
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize("name", DIGESTS)
def test_checksums_are_verified_and_kept(s3: Any, name: str) -> None:
    field, right = f"Checksum{name}", b64(bytes.fromhex(KNOWN[name]))
    put = s3.put_object(Bucket="out", Key="k", Body=b"123456789", **{field: right})
    head = s3.head_object(Bucket="out", Key="k", ChecksumMode="ENABLED")
    for answer in (put, head):
        assert (answer[field], answer["ChecksumType"]) == (right, "FULL_OBJECT")
    assert field not in s3.head_object(Bucket="out", Key="k")
    described = s3.get_object_attributes(Bucket="out", Key="k", ObjectAttributes=["Checksum", "ObjectSize"])
    assert (described["Checksum"][field], described["ObjectSize"]) == (right, 9)
    for wrong in ({field: right}, {"ContentMD5": b64(hashlib.md5(b"123456789").digest())}):
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket="out", Key="other", Body=b"123456780", **wrong)
        assert code(error) == (400, "BadDigest")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket="out", Key="other")


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, "COMPOSITE") for name in DIGESTS if name != "CRC64NVME"]
    + [(name, "FULL_OBJECT") for name in DIGESTS if name.startswith("CRC")],
)
def test_checksums_of_objects_in_parts(s3: Any, name: str, kind: str) -> None:
    field, digest = f"Checksum{name}", DIGESTS[name]
    names = {"Bucket": "out", "Key": "m"}
    made = s3.create_multipart_upload(**names, ChecksumAlgorithm=name, ChecksumType=kind)
    assert (made["ChecksumAlgorithm"], made["ChecksumType"]) == (name, kind)
    upload = {**names, "UploadId": made["UploadId"]}
    # the last part has no checksum of the client's, so the server computes it
    given = [{field: b64(digest(body))} for body in BODIES[:-1]] + [{}]
    parts = [
        {
            "PartNumber": 2 * number + 1,
            **s3.upload_part(**upload, PartNumber=2 * number + 1, Body=body, **sums),
        }
        for number, (body, sums) in enumerate(zip(BODIES, given, strict=True))
    ]
    parts = [{name: part[name] for name in ("PartNumber", "ETag", field)} for part in parts]
    listed = s3.list_parts(**upload)
    assert [one[field] for one in listed["Parts"]] == [b64(digest(body)) for body in BODIES]
    assert listed["ChecksumType"] == kind
    composite = b64(digest(b"".join(map(digest, BODIES)))) + "-2"
    expected = composite if kind == "COMPOSITE" else b64(digest(b"".join(BODIES)))
    for wrong in (
        {"MultipartUpload": {"Parts": parts}, field: b64(digest(b"other"))},
        {"MultipartUpload": {"Parts": parts}, "MpuObjectSize": 5},
        {"MultipartUpload": {"Parts": [{**parts[0], field: parts[1][field]}, parts[1]]}},
    ):
        with pytest.raises(ClientError) as error:
            s3.complete_multipart_upload(**upload, **wrong)
        assert code(error)[0] == 400
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **{field: expected})
    head = s3.head_object(**names, ChecksumMode="ENABLED")
    for answer in (done, head):
        assert (answer[field], answer["ChecksumType"]) == (expected, kind)
    described = s3.get_object_attributes(**names, ObjectAttributes=["ObjectParts", "Checksum"], MaxParts=1)
    assert described["Checksum"] == {field: expected, "ChecksumType": kind}
    found = described["ObjectParts"]
    assert (found["TotalPartsCount"], found["IsTruncated"], found["NextPartNumberMarker"]) == (2, True, 1)
    assert [(one["PartNumber"], one["Size"]) for one in found["Parts"]] == [(1, PART)]
    with s3.get_object(**names, PartNumber=3)["Body"] as body:
        assert body.read() == BODIES[-1]


def test_checksums_that_do_not_exist(s3: Any) -> None:
    for wrong in (
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
        {"ChecksumAlgorithm": "SHA1", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "MD4"},
    ):
        with pytest.raises(ClientError) as error:
            s3.create_multipart_upload(Bucket="out", Key="m", **wrong)
        assert code(error) == (400, "InvalidRequest")


def test_parts_are_read_by_number(s3: Any) -> None:
    answer = s3.get_object(Bucket="images", Key="a.txt", PartNumber=1)
    with answer["Body"] as body:
        assert body.read() == INPUT_FILES["/a.txt"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket="images", Key="empty", PartNumber=1)["ContentLength"] == 0
    for more, expected in (
        ({"PartNumber": 2}, "InvalidPart"),
        ({"PartNumber": 1, "Range": "bytes=0-"}, "InvalidRequest"),
    ):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket="images", Key="a.txt", **more)
        assert code(error) == (400, expected)


def test_documents_are_checked_as_bodies_are(step: Step) -> None:
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    good = {"content-md5": b64(hashlib.md5(document).digest())}
    assert status(step, request("POST", "out", {"delete": ""}, good, document)) == 200
    for wrong in (
        {"content-md5": b64(hashlib.md5(b"").digest())},
        {"x-amz-checksum-crc32": b64(DIGESTS["CRC32"](b""))},
    ):
        assert status(step, request("POST", "out", {"delete": ""}, wrong, document)) == 400
    head, _ = signed("POST", "out", {"delete": ""}, {"content-length": str(len(document))}, "0" * 64)
    assert status(step, head + b"\r\n" + document) == 400


def test_uploads_are_listed_in_pages(s3: Any) -> None:
    keys = ["a", "b/1", "b/2", "c", "c", "d"]
    made = [s3.create_multipart_upload(Bucket="out", Key=key)["UploadId"] for key in keys]
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket="out", PaginationConfig={"PageSize": 2}
    )
    found = [(one["Key"], one["UploadId"]) for page in pages for one in page["Uploads"]]
    assert found == list(zip(keys, made, strict=True))
    pages = list(
        s3.get_paginator("list_multipart_uploads").paginate(
            Bucket="out", Delimiter="/", PaginationConfig={"PageSize": 1}
        )
    )
    assert [one["Key"] for page in pages for one in page.get("Uploads", [])] == ["a", "c", "c", "d"]
    assert [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])] == ["b/"]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket="out", Prefix="b")["Uploads"]] == keys[1:3]
    for key, upload in zip(keys, made, strict=True):
        s3.abort_multipart_upload(Bucket="out", Key=key, UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="out")


def test_buckets_are_listed_in_pages(s3: Any) -> None:
    pages = s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1})
    assert [one["Name"] for page in pages for one in page["Buckets"]] == ["edges", "images", "out", "photos"]
    assert [one["Name"] for one in s3.list_buckets(Prefix="ph")["Buckets"]] == ["photos"]


def test_what_is_not_configured_is_not_there(s3: Any) -> None:
    assert s3.get_object_tagging(Bucket="images", Key="a.txt")["TagSet"] == []
    for call, expected in (
        (s3.get_bucket_policy, "NoSuchBucketPolicy"),
        (s3.get_bucket_cors, "NoSuchCORSConfiguration"),
        (s3.get_bucket_tagging, "NoSuchTagSet"),
        (s3.get_bucket_lifecycle_configuration, "NoSuchLifecycleConfiguration"),
    ):
        with pytest.raises(ClientError) as error:
            call(Bucket="out")
        assert code(error) == (404, expected)


def test_metadata_beyond_ascii_is_signed_and_kept(s3: Any) -> None:
    def spoil(params: Any, **_: Any) -> None:
        params["headers"]["x-amz-meta-name"] = "caf\xe9 \xe0"

    s3.meta.events.register("before-call.s3.PutObject", spoil)
    s3.put_object(Bucket="out", Key="k", Body=b"")
    s3.meta.events.unregister("before-call.s3.PutObject", spoil)
    kept = s3.head_object(Bucket="out", Key="k")["Metadata"]["name"]
    assert kept.encode("latin-1").decode() == "caf\xe9 \xe0"
