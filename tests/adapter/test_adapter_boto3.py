from __future__ import annotations

import base64
import hashlib
import io
import os
from typing import Any

import boto3
import pytest
import requests
from adapter_steps import INPUT_FILES, Pachyderm, Step
from botocore.exceptions import ClientError

from tests.waiting import PATIENCE


def code(error: Any) -> tuple[int, str]:
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def read(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    with s3.get_object(Bucket=bucket, Key=key, **more)["Body"] as body:
        return body.read()


def test_put_get_head(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    put = s3.put_object(
        Bucket="out", Key="a/b.txt", Body=b"hello", ContentType="text/x", Metadata={"my_key": "v"}
    )
    assert put["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    head = s3.head_object(Bucket="edges", Key="a/b.txt")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (5, "text/x", {"my_key": "v"})
    assert read(s3, "out", "a/b.txt") == b"hello"
    assert step.flush().objects == 1
    assert pachyderm.files(step.commit) == {"/a/b.txt": b"hello"}


def test_inputs_are_read(s3: Any) -> None:
    for path, content in INPUT_FILES.items():
        assert read(s3, "images", path[1:]) == content
        assert s3.head_object(Bucket="photos", Key=path[1:])["ContentLength"] == len(content)
    for missing in ("nothing", "dir", "dir/", "a.txt/x", "dir/../a.txt", "d*", "big.bi?"):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket="images", Key=missing)
        assert code(error)[0] == 404


@pytest.mark.parametrize("key", ["big.bin", "dir/b.bin"])
def test_ranges(s3: Any, key: str) -> None:
    content = INPUT_FILES["/" + key]
    size = len(content)
    for text, expected in {
        "bytes=0-9": content[:10],
        f"bytes={size - 3}-": content[-3:],
        "bytes=-5": content[-5:],
        f"bytes=100-{size + 5}": content[100:],
        "bytes=5000-6000": content[5000:6001],
    }.items():
        answer = s3.get_object(Bucket="images", Key=key, Range=text)
        with answer["Body"] as body:
            assert body.read() == expected
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket="images", Key=key, Range=f"bytes={size}-")
    assert code(error) == (416, "InvalidRange")


def test_conditions(s3: Any) -> None:
    etag = s3.put_object(Bucket="out", Key="c", Body=b"1")["ETag"]
    assert read(s3, "out", "c", IfMatch=etag) == b"1"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket="out", Key="c", IfNoneMatch=etag)
    assert code(error)[0] == 304
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket="out", Key="c", IfMatch='"other"')
    assert code(error) == (412, "PreconditionFailed")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="out", Key="c", Body=b"2", IfNoneMatch="*")
    assert code(error) == (412, "PreconditionFailed")
    s3.put_object(Bucket="out", Key="c", Body=b"3", IfMatch=etag)
    assert read(s3, "out", "c") == b"3"


def test_listing(s3: Any, step: Step) -> None:
    keys = sorted(
        [f"many/{number:05d}" for number in range(1001)] + ["other/x", "a%20b&c=d é".replace(" é", "")]
    )
    for key in keys:
        s3.put_object(Bucket="out", Key=key, Body=b"x")
    for operation in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(operation).paginate(Bucket="out"))
        assert [one["Key"] for page in pages for one in page["Contents"]] == keys
        pages = list(
            s3.get_paginator(operation).paginate(
                Bucket="out", Delimiter="/", PaginationConfig={"PageSize": 1}
            )
        )
        found = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
        assert found == ["many/", "other/"]
        pages = list(s3.get_paginator(operation).paginate(Bucket="out", Prefix="many/0100"))
        assert [one["Key"] for page in pages for one in page["Contents"]] == ["many/01000"]
        assert s3.list_objects(Bucket="out", Prefix="none").get("Contents") is None
    after = s3.list_objects_v2(Bucket="out", StartAfter="many/00999")
    assert [one["Key"] for one in after["Contents"]] == ["many/01000", "other/x"]
    assert after["KeyCount"] == 2
    assert len(list(boto3.resource("s3").Bucket("out").objects.all())) == len(keys)
    assert step.flush().objects == len(keys)


def test_input_listing(s3: Any) -> None:
    answer = s3.list_objects_v2(Bucket="images", Delimiter="/")
    assert [one["Key"] for one in answer["Contents"]] == ["a.txt", "big.bin", "empty", "with space.txt"]
    assert [one["Prefix"] for one in answer["CommonPrefixes"]] == ["dir/"]
    answer = s3.list_objects_v2(Bucket="images", Prefix="dir/sub/")
    assert [(one["Key"], one["Size"]) for one in answer["Contents"]] == [
        ("dir/sub/c.json", 8),
        ("dir/sub/d.json", 8),
    ]
    assert {one["Name"] for one in s3.list_buckets()["Buckets"]} == {"images", "photos", "out", "edges"}


def test_delete_copy_overwrite(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    s3.put_object(Bucket="out", Key="tmp/x", Body=b"first")
    s3.put_object(Bucket="out", Key="tmp/x", Body=b"second")
    s3.copy_object(Bucket="out", Key="final/x", CopySource={"Bucket": "out", "Key": "tmp/x"})
    s3.delete_object(Bucket="out", Key="tmp/x")
    s3.delete_object(Bucket="out", Key="never")
    s3.copy_object(Bucket="out", Key="from input", CopySource={"Bucket": "images", "Key": "with space.txt"})
    for key in ("d1", "d2", "keep"):
        s3.put_object(Bucket="out", Key=key, Body=b"")
    answer = s3.delete_objects(
        Bucket="out", Delete={"Objects": [{"Key": "d1"}, {"Key": "d2"}, {"Key": "d3"}]}
    )
    assert [one["Key"] for one in answer["Deleted"]] == ["d1", "d2", "d3"]
    s3.put_object(Bucket="out", Key="marker/", Body=b"")
    flushed = step.flush()
    expected = {"/final/x": b"second", "/from input": b"sp", "/keep": b""}
    assert (flushed.objects, flushed.bytes) == (3, 8)
    assert pachyderm.files(step.commit) == expected


def test_multipart(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    content = os.urandom(2**20) * 100
    s3.upload_fileobj(io.BytesIO(content), "out", "large")
    assert s3.head_object(Bucket="out", Key="large")["ETag"].strip('"').endswith("-13")
    target = io.BytesIO()
    s3.download_fileobj("out", "large", target)
    assert target.getvalue() == content
    assert step.flush().bytes == len(content)
    assert pachyderm.read(step.commit, "/large") == content
    assert step.peak_memory() < 150 * 2**20


def test_a_large_object_put_in_one_piece_has_an_etag_that_is_no_md5(
    s3: Any, step: Step, pachyderm: Pachyderm
) -> None:
    content = os.urandom(2**20) * 8
    etag = s3.put_object(Bucket="out", Key="large", Body=content)["ETag"]
    assert etag == f'"{hashlib.sha256(content).hexdigest()[:32]}-1"'
    assert read(s3, "out", "large", IfMatch=etag) == content
    # the object has no parts, although its ETag has a dash
    asked = s3.get_object_attributes(Bucket="out", Key="large", ObjectAttributes=["ETag", "ObjectParts"])
    assert "ObjectParts" not in asked
    assert "PartsCount" not in s3.head_object(Bucket="out", Key="large", PartNumber=1)
    s3.copy_object(Bucket="out", Key="copy", CopySource={"Bucket": "out", "Key": "large"})
    digest = hashlib.md5(content)
    said = s3.put_object(
        Bucket="out", Key="said", Body=content, ContentMD5=base64.b64encode(digest.digest()).decode()
    )
    assert said["ETag"] == f'"{digest.hexdigest()}"'
    assert step.flush().objects == 3
    assert pachyderm.read(step.commit, "/copy") == content


def test_multipart_by_hand(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="out", Key="m", Metadata={"a": "b"})["UploadId"]
    names = {"Bucket": "out", "Key": "m", "UploadId": upload}
    first = s3.upload_part(**names, PartNumber=1, Body=b"a" * 5 * 2**20)["ETag"]
    second = s3.upload_part_copy(
        **names, PartNumber=2, CopySource={"Bucket": "images", "Key": "a.txt"}, CopySourceRange="bytes=0-4"
    )["CopyPartResult"]["ETag"]
    assert [part["PartNumber"] for part in s3.list_parts(**names)["Parts"]] == [1, 2]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket="out")["Uploads"]] == ["m"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]
    for wrong in (parts[::-1], [{"PartNumber": 3, "ETag": first}], [{"PartNumber": 1, "ETag": second}]):
        with pytest.raises(ClientError) as error:
            s3.complete_multipart_upload(**names, MultipartUpload={"Parts": wrong})
        assert code(error)[0] == 400
    s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    assert read(s3, "out", "m", Range="bytes=5242878-") == b"aahello"
    assert s3.head_object(Bucket="out", Key="m")["Metadata"] == {"a": "b"}
    with pytest.raises(ClientError) as error:
        s3.list_parts(**names)
    assert code(error) == (404, "NoSuchUpload")


def test_abort(s3: Any, step: Step) -> None:
    upload = s3.create_multipart_upload(Bucket="out", Key="m")["UploadId"]
    s3.upload_part(Bucket="out", Key="m", UploadId=upload, PartNumber=1, Body=b"a")
    s3.abort_multipart_upload(Bucket="out", Key="m", UploadId=upload)
    assert os.listdir(step.config.spool + "/written") == []
    assert step.flush().objects == 0


@pytest.mark.parametrize(
    "key", ["a*b", "a?b", "a[b", "x(1)", "me@x", "a+b", "a^b", "café", "a/../b", "./a", "a//b", "/a"]
)
def test_keys_that_pachyderm_cannot_hold(s3: Any, key: str) -> None:
    with pytest.raises(ClientError, match="Pachyderm can't hold") as error:
        s3.put_object(Bucket="out", Key=key, Body=b"x")
    assert code(error)[0] == 400


def test_a_file_where_a_directory_is(s3: Any) -> None:
    s3.put_object(Bucket="out", Key="a/b", Body=b"x")
    for key in ("a", "a/b/c"):
        with pytest.raises(ClientError, match="Pachyderm can't hold") as error:
            s3.put_object(Bucket="out", Key=key, Body=b"x")
        assert code(error)[0] == 400


def test_inputs_are_read_only(s3: Any, pachyderm: Pachyderm) -> None:
    for call in (
        lambda: s3.put_object(Bucket="images", Key="new", Body=b"x"),
        lambda: s3.delete_object(Bucket="images", Key="a.txt"),
        lambda: s3.create_multipart_upload(Bucket="photos", Key="new"),
        lambda: s3.copy_object(Bucket="images", Key="n", CopySource={"Bucket": "images", "Key": "a.txt"}),
    ):
        with pytest.raises(ClientError, match=rf"pinned to default/images@{pachyderm.input[2]}") as error:
            call()
        assert code(error) == (403, "AccessDenied")
    answer = s3.delete_objects(Bucket="images", Delete={"Objects": [{"Key": "a.txt"}]})
    assert answer["Errors"][0]["Code"] == "AccessDenied"


def test_buckets(s3: Any) -> None:
    assert s3.get_bucket_location(Bucket="out")["LocationConstraint"] is None
    s3.head_bucket(Bucket="out")
    for call, expected in (
        (lambda: s3.head_bucket(Bucket="nope"), 404),
        (lambda: s3.list_objects_v2(Bucket="nope"), 404),
        (lambda: s3.get_object(Bucket="nope", Key="k"), 404),
        (lambda: s3.create_bucket(Bucket="nope"), 403),
        (lambda: s3.create_bucket(Bucket="out"), 409),
        (lambda: s3.get_object_tagging(Bucket="out", Key="k"), 404),
        (lambda: s3.get_object_acl(Bucket="out", Key="k"), 404),
        (lambda: s3.delete_bucket(Bucket="out"), 501),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert code(error)[0] == expected


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned(s3: Any, version: str) -> None:
    from botocore.config import Config

    signer = boto3.client("s3", config=Config(signature_version=version))
    put = signer.generate_presigned_url("put_object", Params={"Bucket": "out", "Key": "p q"})
    assert requests.put(put, data=b"by url", timeout=PATIENCE).status_code == 200
    get = signer.generate_presigned_url("get_object", Params={"Bucket": "out", "Key": "p q"})
    assert requests.get(get, timeout=PATIENCE).content == b"by url"
    assert requests.get(get.replace("p%20q", "other"), timeout=PATIENCE).status_code == 403
    signer.close()


def test_other_keys_are_refused(step: Step) -> None:
    for access, secret, expected in (
        ("step-access", "wrong", "SignatureDoesNotMatch"),
        ("other", "step-secret", "InvalidAccessKeyId"),
    ):
        client = boto3.client("s3", aws_access_key_id=access, aws_secret_access_key=secret)
        with pytest.raises(ClientError) as error:
            client.list_buckets()
        assert code(error) == (403, expected)
        client.close()
    assert requests.get(step.endpoint + "/out", timeout=PATIENCE).status_code == 403


def test_checksums_that_botocore_computes(s3: Any) -> None:
    for name in ("CRC32", "SHA1", "SHA256"):
        put = s3.put_object(Bucket="out", Key="sum", Body=b"content", ChecksumAlgorithm=name)
        assert put[f"Checksum{name}"]
