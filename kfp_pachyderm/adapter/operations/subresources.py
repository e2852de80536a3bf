"""Reads of subresources (ACL, tags, CORS, ...): buckets and objects are private, and nothing is configured.

Tools read them before they copy, to show them, or to see whether a bucket exists (s3cmd info, gsutil stat,
Cyberduck, Hadoop's S3A). The answers are those that AWS's API reference gives for a bucket without the
configuration.
"""

from __future__ import annotations

from kfp_pachyderm.adapter.buckets.by_name import Buckets
from kfp_pachyderm.adapter.operations.list_objects import OWNER
from kfp_pachyderm.s3 import xml
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http.wsgi import Response, xml_response
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.routes import ABSENT, EMPTY

_GRANTEE = 'Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
_PRIVATE: xml.Fields = [
    ("Owner", OWNER),
    ("AccessControlList", [("Grant", [(_GRANTEE, OWNER), ("Permission", "FULL_CONTROL")])]),
]


class Subresources:
    """The operations that read subresources.

    Args:
        buckets: the step's buckets.
    """

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def absent(self, request: S3Request) -> Response:
        """Reads a configuration whose absence S3 answers with an error (`ABSENT`)."""
        self._buckets.find(request.bucket)
        raise S3Error(next(code for name, code in ABSENT.items() if request.has(name)))

    def empty(self, request: S3Request) -> Response:
        """Reads a configuration whose absence S3 answers with a document (`EMPTY`)."""
        self._buckets.find(request.bucket)
        name, found = next((root, fields) for sub, (root, fields) in EMPTY.items() if request.has(sub))
        if request.has("id"):
            raise S3Error("NoSuchConfiguration")
        return xml_response(name, found)

    def acl(self, request: S3Request) -> Response:
        """GetBucketAcl and GetObjectAcl: the owner alone has rights."""
        self._find(request)
        return xml_response("AccessControlPolicy", _PRIVATE)

    def tagging(self, request: S3Request) -> Response:
        """GetObjectTagging: no tags. AWS's command line reads them when it copies a large object."""
        self._find(request)
        return xml_response("Tagging", [("TagSet", "")])

    def annotations(self, request: S3Request) -> Response:
        """ListObjectAnnotations and GetObjectAnnotation: none. s3transfer reads them when it copies."""
        self._find(request)
        if request.has("annotationName"):
            raise S3Error("NoSuchAnnotation")
        return xml_response("ListObjectAnnotationsResult", [("AnnotationCount", "0")])

    def lock(self, request: S3Request) -> Response:
        """GetObjectRetention and GetObjectLegalHold: the bucket has no Object Lock."""
        self._find(request)
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")

    def _find(self, request: S3Request) -> None:
        bucket = self._buckets.find(request.bucket)
        if request.key and bucket.find(request.key) is None:
            raise S3Error("NoSuchKey")
