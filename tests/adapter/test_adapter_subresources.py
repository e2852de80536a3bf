"""Reads of subresources, and version IDs in buckets without versions."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from adapter_steps import INPUT_FILES
from botocore.exceptions import ClientError
from test_adapter_boto3 import code, read

BUCKETS = ["images", "out"]


def answer_of(s3: Any, call: str, bucket: str, **more: str) -> Any:
    """A call's answer without its HTTP metadata, or the status and code of its error."""
    try:
        found = getattr(s3, call)(Bucket=bucket, **more)
    except ClientError as error:
        response = error.response
        return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
    del found["ResponseMetadata"]
    return found


@pytest.fixture
def objects(s3: Any) -> dict[str, str]:
    """Bucket → a key in it."""
    s3.put_object(Bucket="out", Key="a.txt", Body=b"hello one")
    return dict.fromkeys(BUCKETS, "a.txt")


#: Call → its answer for a bucket that has no such configuration.
OF_A_BUCKET = {
    "get_bucket_abac": {"AbacStatus": {"Status": "Disabled"}},
    "get_bucket_accelerate_configuration": {},
    "get_bucket_cors": (404, "NoSuchCORSConfiguration"),
    "get_bucket_encryption": (404, "ServerSideEncryptionConfigurationNotFoundError"),
    "get_bucket_lifecycle_configuration": (404, "NoSuchLifecycleConfiguration"),
    "get_bucket_logging": {},
    "get_bucket_notification_configuration": {},
    "get_bucket_ownership_controls": (404, "OwnershipControlsNotFoundError"),
    "get_bucket_policy": (404, "NoSuchBucketPolicy"),
    "get_bucket_policy_status": (404, "NoSuchBucketPolicy"),
    "get_bucket_replication": (404, "ReplicationConfigurationNotFoundError"),
    "get_bucket_request_payment": {"Payer": "BucketOwner"},
    "get_bucket_tagging": (404, "NoSuchTagSet"),
    "get_bucket_versioning": {},
    "get_bucket_website": (404, "NoSuchWebsiteConfiguration"),
    "get_object_lock_configuration": (404, "ObjectLockConfigurationNotFoundError"),
    "get_public_access_block": (404, "NoSuchPublicAccessBlockConfiguration"),
    "list_bucket_analytics_configurations": {"IsTruncated": False},
    "list_bucket_intelligent_tiering_configurations": {"IsTruncated": False},
    "list_bucket_inventory_configurations": {"IsTruncated": False},
    "list_bucket_metrics_configurations": {"IsTruncated": False},
}


def test_a_bucket_has_no_configuration(s3: Any) -> None:
    for call, expected in OF_A_BUCKET.items():
        for bucket in BUCKETS:
            assert answer_of(s3, call, bucket) == expected, call
        assert answer_of(s3, call, "none") == (404, "NoSuchBucket"), call
    for kind in ("analytics", "intelligent_tiering", "inventory", "metrics"):
        call = f"get_bucket_{kind}_configuration"
        assert answer_of(s3, call, "images", Id="mine") == (404, "NoSuchConfiguration")


def test_all_is_private(s3: Any, objects: dict[str, str]) -> None:
    for bucket, key in objects.items():
        for found in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key=key)):
            (grant,) = found["Grants"]
            assert grant["Grantee"] == {**found["Owner"], "Type": "CanonicalUser"}
            assert grant["Permission"] == "FULL_CONTROL"
        assert answer_of(s3, "get_object_acl", bucket, Key="none") == (404, "NoSuchKey")
        assert answer_of(s3, "put_object_acl", bucket, Key=key, ACL="private") == (501, "NotImplemented")
    assert answer_of(s3, "get_bucket_acl", "none") == (404, "NoSuchBucket")


def test_an_object_has_no_tags_and_no_lock(s3: Any, objects: dict[str, str]) -> None:
    for bucket, key in objects.items():
        assert answer_of(s3, "get_object_tagging", bucket, Key=key) == {"TagSet": []}
        for call in ("get_object_retention", "get_object_legal_hold"):
            assert answer_of(s3, call, bucket, Key=key) == (400, "InvalidRequest")
            assert answer_of(s3, call, bucket, Key="none") == (404, "NoSuchKey")


def test_an_object_has_no_annotations_and_keeps_its_content(s3: Any, objects: dict[str, str]) -> None:
    for bucket, key in objects.items():
        assert answer_of(s3, "list_object_annotations", bucket, Key=key) == {"AnnotationCount": 0}
        assert answer_of(s3, "list_object_annotations", bucket, Key="none") == (404, "NoSuchKey")
        for call in ("get_object_annotation", "delete_object_annotation"):
            found = answer_of(s3, call, bucket, Key=key, AnnotationName="a")
            assert found == ((404, "NoSuchAnnotation") if call.startswith("get") else (501, "NotImplemented"))
        put = {"AnnotationName": "a", "AnnotationPayload": "other"}
        assert answer_of(s3, "put_object_annotation", bucket, Key=key, **put) == (501, "NotImplemented")
        found = answer_of(s3, "rename_object", bucket, Key=key, RenameSource=f"{bucket}/none")
        assert found == (501, "NotImplemented")
        assert read(s3, bucket, key) == b"hello one"


def test_the_only_version_is_null(s3: Any, objects: dict[str, str]) -> None:
    for bucket, key in objects.items():
        assert read(s3, bucket, key, VersionId="null") == b"hello one"
        for call in ("get_object", "head_object", "get_object_acl", "get_object_tagging", "delete_object"):
            found = answer_of(s3, call, bucket, Key=key, VersionId="1")
            assert found in ((400, "InvalidArgument"), (400, "400")), call
    source = {"Bucket": "images", "Key": "a.txt"}
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket="out", Key="copy", CopySource={**source, "VersionId": "1"})
    assert code(error) == (400, "InvalidArgument")
    s3.copy_object(Bucket="out", Key="copy", CopySource={**source, "VersionId": "null"})
    doomed = [{"Key": "copy", "VersionId": "1"}, {"Key": "a.txt", "VersionId": "null"}]
    told = s3.delete_objects(Bucket="out", Delete={"Objects": doomed})
    assert [(one["Key"], one["Code"]) for one in told["Errors"]] == [("copy", "NoSuchVersion")]
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="out")["Contents"]] == ["copy"]


def test_versions_are_listed(s3: Any) -> None:
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket="images", PaginationConfig={"PageSize": 2}
    )
    found = [one for page in pages for one in page["Versions"]]
    listed = s3.list_objects_v2(Bucket="images")["Contents"]
    names = ("Key", "ETag", "Size", "LastModified")
    assert [[one[name] for name in names] for one in found] == [
        [one[name] for name in names] for one in listed
    ]
    assert {(one["VersionId"], one["IsLatest"]) for one in found} == {("null", True)}
    top = s3.list_object_versions(Bucket="images", Delimiter="/", Prefix="dir/")
    assert [one["Prefix"] for one in top["CommonPrefixes"]] == ["dir/sub/"]
    assert [one["Key"] for one in top["Versions"]] == ["dir/b.bin"]


def test_a_bucket_is_emptied_by_its_versions(s3: Any, step: Any) -> None:
    for number in range(3):
        s3.put_object(Bucket="out", Key=f"a/{number}", Body=b"x")
    import boto3

    boto3.resource("s3", endpoint_url=step.endpoint).Bucket("out").object_versions.delete()
    assert s3.list_objects_v2(Bucket="out")["KeyCount"] == 0


def test_an_etag_without_dash_is_the_md5(s3: Any, objects: dict[str, str]) -> None:
    """Clients compare such an ETag with the content's MD5, and Pachyderm's hash is no MD5."""
    for bucket in objects:
        for one in s3.list_objects_v2(Bucket=bucket)["Contents"]:
            content, etag = read(s3, bucket, one["Key"]), one["ETag"].strip('"')
            assert "-" in etag or etag == hashlib.md5(content).hexdigest()
            assert s3.head_object(Bucket=bucket, Key=one["Key"], IfMatch=etag)["ETag"] == one["ETag"]
    etags = {one["Key"]: one["ETag"] for one in s3.list_objects_v2(Bucket="images")["Contents"]}
    assert len(set(etags.values())) == len(INPUT_FILES)
