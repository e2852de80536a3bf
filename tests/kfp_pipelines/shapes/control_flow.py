"""Exit tasks, failures that are ignored, conditions, loops, nested pipelines, also in each other."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="python:3.11")
def work(word: str = "") -> str:
    return word


@dsl.component(base_image="python:3.11")
def both(word: str) -> NamedTuple("Both", [("left", str), ("right", list)]):
    return (word, [word])


@dsl.component(base_image="python:3.11")
def last(status: dsl.PipelineTaskFinalStatus, word: str = ""):
    print(status, word)


@dsl.pipeline
def whole(word: str) -> NamedTuple("Both", [("left", str), ("right", list)]):
    return both(word=word).outputs


@dsl.pipeline
def guarded(word: str = "a"):
    with dsl.ExitHandler(last(word=word), name="guard"):
        work(word=word)
        with dsl.If(word == "a"), dsl.ParallelFor(["x", "y"], parallelism=1) as item:
            work(word=item)


@dsl.pipeline
def chosen(word: str) -> str:
    with dsl.If(word == "a"):
        first = work(word="if")
    with dsl.Elif(word == "b"):
        second = work(word="elif")
    with dsl.Else():
        third = work(word="else")
    return dsl.OneOf(first.output, second.output, third.output)


@dsl.pipeline
def control_flow(word: str = "a", words: list[str] = ["a", "b"]):  # noqa: B006
    guard = guarded(word=word)
    last(word=word).after(guard).ignore_upstream_failure()
    made = whole(word=chosen(word=word).output)
    with dsl.ParallelFor(words) as item:
        inner = work(word=item).set_retry(1)
        last(word=inner.output).ignore_upstream_failure()
        with dsl.ParallelFor(["x"]) as deep:
            chosen(word=deep)
    with dsl.ParallelFor(made.outputs["right"]) as item:
        work(word=item)
    done = work(word=made.outputs["left"]).after(inner)
    last(word=done.output).ignore_upstream_failure()
    whole(word="b").set_retry(2)
    with dsl.ExitHandler(whole(word="exit")) as one:
        work()
    with dsl.ExitHandler(last(word="")):
        work(word="b")
    work(word="after").after(one)
