"""The example of Pachyderm's documentation, verbatim ("Create an S3-enabled Pipeline")."""

DOCUMENTED = """\
{
  "pipeline": {
    "name": "test"
  },
  "input": {
    "pfs": {
      "glob": "/",
      "repo": "s3://images",
      "s3": "true"
    }
  },
  "transform": {
    "cmd": [ "python3", "/edges.py" ],
    "image": "pachyderm/opencv"
  },
  "s3_out": true
}
"""
