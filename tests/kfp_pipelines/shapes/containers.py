"""Container components: placeholders of every kind, in commands and arguments; components from text."""

from kfp import components, dsl
from kfp.dsl import Artifact, Dataset, Input, Output

loaded = components.load_component_from_text("""
name: From text
inputs:
- {name: word, type: String, default: a}
- {name: table, type: Dataset, optional: true}
- {name: flag, type: Boolean, optional: true}
outputs:
- {name: made, type: Model}
- {name: number, type: Integer}
implementation:
  container:
    image: alpine
    env: {MODE: fast}
    command: [sh, -c, 'echo "$0" "$@"']
    args:
    - {concat: [pre-, {inputValue: word}]}
    - if: {cond: {isPresent: table}, then: [--table, {inputPath: table}], else: [--none]}
    - {outputPath: made}
    - {outputPath: number}
""")


@dsl.container_component
def placed(
    word: str,
    table: Input[Dataset],
    made: Output[Artifact],
    number: dsl.OutputPath(int),
    maybe: str = None,  # noqa: RUF013
):
    return dsl.ContainerSpec(
        image="alpine",
        command=["sh", "-c", 'echo "$0" "$@"', f"--word={word}", "--uri", table.uri],
        args=[
            dsl.ConcatPlaceholder(["a", word, dsl.ConcatPlaceholder([table.path, ":", made.uri])]),
            dsl.IfPresentPlaceholder("maybe", then=["--maybe", maybe], else_=["--none"]),
            f"{made.path}.{table.metadata['rows']}",
            number,
            "{{$}}",
            dsl.PIPELINE_TASK_NAME_PLACEHOLDER,
        ],
    )


@dsl.container_component
def bare():
    return dsl.ContainerSpec(image="alpine", command=["date"])


@dsl.pipeline
def containers(word: str = "w"):
    given = dsl.importer(
        artifact_uri=f"s3://bucket/{word}", artifact_class=Dataset, metadata={"rows": "3", word: word}
    )
    first = placed(word=f"{dsl.PIPELINE_JOB_ID_PLACEHOLDER}", table=given.output)
    second = placed(word=dsl.PIPELINE_JOB_NAME_PLACEHOLDER, table=given.output, maybe=word).after(first)
    loaded(word=second.outputs["number"] if False else word, table=given.output).set_env_variable("A", "b")
    loaded(flag=True)
    bare()
