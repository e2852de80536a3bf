"""Parameters of each type: given, with defaults, left out, None; outputs as named tuples of all types."""

# ruff: noqa: B006, UP045 - lists and dicts as defaults are what is tested, and KFP knows only Optional

from typing import Any, NamedTuple, Optional

from kfp import dsl


def shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@dsl.component(base_image="python:3.11", install_kfp_package=False, additional_funcs=[shown])
def every(
    text: str,
    whole: int,
    real: float,
    flag: bool,
    items: list,
    table: dict,
    typed_items: list[int],
    typed_table: dict[str, list[str]],
    text_left: str = "a {{b}} 'c' \"d\"",
    whole_left: int = -1,
    real_left: float = 0.5,
    flag_left: bool = True,
    items_left: list = ["a", 1],
    table_left: dict = {"a": {"b": [1.5, True]}},
    text_none: str = None,  # noqa: RUF013 - KFP lets people write this
    table_none: Optional[dict[str, int]] = None,
    job: str = "",
) -> NamedTuple(
    "Every",
    [("seen", str), ("whole", int), ("real", float), ("flag", bool), ("items", list), ("table", dict)],
):
    values = [
        text, whole, real, flag, items, table, typed_items, typed_table, text_left, whole_left, real_left,
        flag_left, items_left, table_left, text_none, table_none,
    ]  # fmt: skip
    return ("; ".join(shown(one) for one in values), whole, real, flag, items, table)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def again(items: list, table: dict, flag: bool, seen: str = "") -> str:
    return f"{items!r} {table!r} {flag!r} {len(seen)}"


class Both(NamedTuple):
    first: str
    table: dict


@dsl.pipeline
def parameters(
    text: str = "ü {a: 'b'}",
    whole: int = 3,
    real: float = 2.0,
    flag: bool = False,
    items: list[int] = [3, 4],
    table: dict[str, list[str]] = {"a": ["b"]},
) -> Both:
    task = every(
        text=f"-{text}-{whole}", whole=whole, real=real, flag=flag, items=[whole, "x"], table={"a": text},
        typed_items=items, typed_table=table,
        job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    )  # fmt: skip
    task.set_display_name("Every type")
    taken = task.outputs
    made = again(items=taken["items"], table=taken["table"], flag=taken["flag"], seen=taken["seen"])
    return Both(made.output, taken["table"])
