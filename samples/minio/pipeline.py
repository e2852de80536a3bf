"""A step that was written for MinIO; only the decorator was added to move it to Pachyderm.

The function counts the words of all texts in one bucket and writes the result into another. It takes endpoint
and keys from the environment, as it did before; now the buckets are a Pachyderm job's input and output.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("texts")])
@dsl.component(base_image="python:3.11", packages_to_install=["minio"])
def count_words(source: str = "texts", target: str = "out") -> int:
    """Counts the words of every text.

    Args:
        source: Bucket with the texts.
        target: Bucket that takes the counts.
    """
    import collections
    import io
    import json
    import os
    from urllib.parse import urlsplit

    from minio import Minio

    endpoint = urlsplit(os.environ["S3_ENDPOINT"])
    client = Minio(
        endpoint.netloc,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        secure=endpoint.scheme == "https",
    )
    counts = collections.Counter()
    for found in client.list_objects(source, recursive=True):
        with client.get_object(source, found.object_name) as text:
            counts.update(text.read().decode().lower().split())
    content = json.dumps(counts, sort_keys=True).encode()
    client.put_object(target, "counts.json", io.BytesIO(content), len(content))
    return counts.total()


@dsl.pipeline(name="word-count")
@pachyderm.pipeline(project="words")
def word_count() -> int:
    """Counts the words in the repo `texts`."""
    return count_words().outputs["Output"]
