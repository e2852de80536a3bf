"""A container component without a shell, its launcher from a folder of wheels in the image.

The compiled command runs in tests/launcher/test_bootstrap_image.py.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "look_offline"
PROGRAM = """
import importlib, importlib.util, json, sys
from kfp_pachyderm.runtime import current_step
names = ("grpc", "betterproto", "pachyderm_sdk", "anycrc", "kfp")
seen = [name for name in names if importlib.util.find_spec(name)]
own = importlib.import_module("cheroot").__file__
with open(sys.argv[1], "w") as file:
    json.dump({"seen": seen, "cheroot": own, "job": current_step().job}, file)
"""


@dsl.container_component
def look(found: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="python:3.11", command=["python3", "-c", PROGRAM], args=[found])


look_offline = pachyderm.s3_enabled(
    look, inputs=[pachyderm.S3Input("images")], connection=pachyderm.Connection(package="/mnt/wheels")
)
