"""Components loaded from YAML: the old form with env, and IR."""

import tempfile
from pathlib import Path

from kfp import compiler, components, dsl

import kfp_pachyderm as pachyderm

FUNCTION = "loaded"

OLD = """
name: Sum lines
description: Adds numbers up.
inputs:
- {name: First Number, type: Integer, default: '3'}
- {name: data, type: Dataset, optional: true}
outputs:
- {name: total, type: Integer}
implementation:
  container:
    image: python:3.11
    command: [python3, -c, "import sys; open(sys.argv[2], 'w').write(sys.argv[1])"]
    args: [{inputValue: First Number}, {outputPath: total}]
    env: {MODE: strict}
"""


@dsl.component(base_image="python:3.11")
def double(number: int) -> int:
    """Doubles."""
    return 2 * number


def _through_a_file() -> components.YamlComponent:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "double.yaml"
        compiler.Compiler().compile(double, str(path))
        return components.load_component_from_file(str(path))


inputs = [pachyderm.S3Input("numbers")]
sum_lines = pachyderm.s3_enabled(components.load_component_from_text(OLD), inputs=inputs)
doubled = pachyderm.s3_enabled(_through_a_file(), inputs=inputs, name="doubling", project="sums")


@dsl.pipeline(name="loaded")
@pachyderm.pipeline(project="math")
def loaded(number: int = 5):
    total = sum_lines(first_number=number)
    total.set_env_variable("LEVEL", "3")
    doubled(number=total.output, numbers="numbers@staging")
