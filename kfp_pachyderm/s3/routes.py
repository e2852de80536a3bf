"""The route table: from method, level and subresource to the S3 operation's name. The first match wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request


@dataclass(frozen=True)
class Route:
    """One line of a route table.

    Args:
        level: "service", "bucket" or "object".
        methods: HTTP methods, separated by spaces; "*" for any.
        operation: the S3 operation's name.
        params: query parameters that the request must have, all of them.
        headers: headers that the request must have, all of them.
    """

    level: str
    methods: str
    operation: str
    params: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    def matches(self, level: str, request: S3Request) -> bool:
        """Tells whether the route applies to the request."""
        return (
            level == self.level
            and (self.methods == "*" or request.method in self.methods.split())
            and all(request.has(name) for name in self.params)
            and all(name in request.headers for name in self.headers)
        )


def level_of(request: S3Request) -> str:
    """Returns what the path names: "service", "bucket" or "object"."""
    if not request.bucket:
        return "service"
    return "object" if request.key else "bucket"


def match(routes: Sequence[Route], request: S3Request) -> str:
    """Returns the operation that the request asks for.

    Raises:
        S3Error: MethodNotAllowed when no route applies.
    """
    level = level_of(request)
    for route in routes:
        if route.matches(level, request):
            return route.operation
    raise S3Error("MethodNotAllowed")


_COPY = "x-amz-copy-source"
_UNKNOWN_BUCKET = (
    "abac", "accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory",
    "lifecycle", "logging", "metadataAnnotationTable", "metadataConfiguration", "metadataInventoryTable",
    "metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls",
    "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "session", "tagging",
    "website",
)  # fmt: skip
_UNKNOWN_OBJECT = (
    "acl", "annotation", "encryption", "legal-hold", "renameObject", "restore", "retention", "select",
    "tagging", "torrent",
)  # fmt: skip

#: Subresource → the error that S3 answers to a GET of it when the bucket has no such configuration.
ABSENT = {
    "cors": "NoSuchCORSConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "object-lock": "ObjectLockConfigurationNotFoundError",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "policy": "NoSuchBucketPolicy",
    "policyStatus": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "replication": "ReplicationConfigurationNotFoundError",
    "tagging": "NoSuchTagSet",
    "website": "NoSuchWebsiteConfiguration",
}

#: Subresource → the document (root and content) that S3 answers to a GET of it when the bucket has no such
#: configuration.
EMPTY: dict[str, tuple[str, xml.Content]] = {
    "abac": ("AbacStatus", [("Status", "Disabled")]),
    "accelerate": ("AccelerateConfiguration", ""),
    "analytics": ("ListBucketAnalyticsConfigurationResult", [("IsTruncated", "false")]),
    "intelligent-tiering": ("ListBucketIntelligentTieringConfigurationsOutput", [("IsTruncated", "false")]),
    "inventory": ("ListInventoryConfigurationsResult", [("IsTruncated", "false")]),
    "logging": ("BucketLoggingStatus", ""),
    "metrics": ("ListMetricsConfigurationsResult", [("IsTruncated", "false")]),
    "notification": ("NotificationConfiguration", ""),
    "requestPayment": ("RequestPaymentConfiguration", [("Payer", "BucketOwner")]),
}

#: The routes of S3 for a bucket that is neither versioned nor configurable.
S3_ROUTES: tuple[Route, ...] = (
    Route("service", "GET HEAD", "ListBuckets"),
    *(Route("bucket", "GET", "GetAbsentConfiguration", (name,)) for name in ABSENT),
    *(Route("bucket", "GET", "GetEmptyConfiguration", (name,)) for name in EMPTY),
    Route("bucket", "GET", "GetAcl", ("acl",)),
    Route("bucket", "GET", "ListObjectVersions", ("versions",)),
    *(Route("bucket", "*", "NotImplemented", (name,)) for name in _UNKNOWN_BUCKET),
    Route("bucket", "GET", "GetBucketLocation", ("location",)),
    Route("bucket", "GET", "GetBucketVersioning", ("versioning",)),
    Route("bucket", "PUT", "NotImplemented", ("versioning",)),
    Route("bucket", "GET", "ListMultipartUploads", ("uploads",)),
    Route("bucket", "GET", "ListObjects"),
    Route("bucket", "HEAD", "HeadBucket"),
    Route("bucket", "POST", "DeleteObjects", ("delete",)),
    Route("bucket", "PUT", "CreateBucket"),
    Route("bucket", "DELETE", "NotImplemented"),
    Route("bucket", "POST", "NotImplemented"),
    Route("object", "GET", "GetObjectTagging", ("tagging",)),
    Route("object", "GET", "GetObjectAnnotations", ("annotation",)),
    Route("object", "GET", "GetAcl", ("acl",)),
    *(Route("object", "GET", "GetObjectLock", (name,)) for name in ("legal-hold", "retention")),
    *(Route("object", "*", "NotImplemented", (name,)) for name in _UNKNOWN_OBJECT),
    Route("object", "GET", "GetObjectAttributes", ("attributes",)),
    Route("object", "GET", "ListParts", ("uploadId",)),
    Route("object", "GET", "GetObject"),
    Route("object", "HEAD", "HeadObject"),
    Route("object", "PUT", "UploadPartCopy", ("partNumber", "uploadId"), (_COPY,)),
    Route("object", "PUT", "UploadPart", ("partNumber", "uploadId")),
    Route("object", "PUT", "CopyObject", (), (_COPY,)),
    Route("object", "PUT", "PutObject"),
    Route("object", "POST", "CreateMultipartUpload", ("uploads",)),
    Route("object", "POST", "CompleteMultipartUpload", ("uploadId",)),
    Route("object", "DELETE", "AbortMultipartUpload", ("uploadId",)),
    Route("object", "DELETE", "DeleteObject"),
)
