"""A container component whose program is not Python: rclone, written in Go, and a shell.

The program knows nothing of Pachyderm or of this package. It finds the step's S3 endpoint and keys in its
environment, as every S3 client does.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

#: Built from the Dockerfile beside this file.
IMAGE = "registry.example.com/rclone-python3:1.70"

SCRIPT = """
export RCLONE_S3_PROVIDER=Other RCLONE_S3_ENV_AUTH=true RCLONE_S3_NO_CHECK_BUCKET=true
export RCLONE_S3_ENDPOINT="$S3_ENDPOINT" RCLONE_CONFIG=/notfound
work=`mktemp -d`
rclone cat :s3:texts > "$work/texts"
tr -cs '[:alpha:]' '\\n' < "$work/texts" | tr '[:upper:]' '[:lower:]' | sort | uniq -c > "$work/counted"
sort -k1,1nr -k2 "$work/counted" | head -n "$0" > "$work/words.txt"
rclone copy "$work/words.txt" :s3:out
rm -r "$work"
"""


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("texts")])
@dsl.container_component
def frequent_words(count: int = 10):
    """Writes the most frequent words of all texts, and how often each is there.

    Args:
        count: How many words.
    """
    return dsl.ContainerSpec(image=IMAGE, command=["sh", "-ec", SCRIPT], args=[count])


@dsl.pipeline(name="word-list")
@pachyderm.pipeline(project="words")
def words(count: int = 10) -> str:
    """Reads the repo `texts`; returns the commit that holds the words."""
    return frequent_words(count=count).outputs["commit"]
