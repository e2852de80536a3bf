"""Messages in plain Python against betterproto's: the same classes of pachyderm_sdk, the same bytes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import betterproto
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kfp_pachyderm.protocol import lean_messages
from kfp_pachyderm.protocol.lean_messages.field import Field

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")

MODULES = ("admin", "auth", "metadata", "pfs", "pps", "transaction", "version")
#: A message that has not been made: the names of its module and its class, and its values.
Plan = tuple[str, str, dict[str, Any]]


def _lean() -> dict[str, ModuleType]:
    """The SDK's modules once more, as the launcher has them."""
    names = ("betterproto", "pachyderm_sdk", "kfp_pachyderm.pachd.sdk")
    before = {one: sys.modules.pop(one) for one in list(sys.modules) if one.startswith(names)}
    try:
        with lean_messages.generated_by_betterproto():
            importlib.import_module("kfp_pachyderm.pachd.sdk")
        return {one: sys.modules[f"pachyderm_sdk.api.{one}"] for one in (*MODULES, "taskapi")}
    finally:
        for one in [one for one in sys.modules if one.startswith(names)]:
            del sys.modules[one]
        sys.modules.update(before)


LEAN = _lean()
REAL = {one: importlib.import_module(f"pachyderm_sdk.api.{one}") for one in LEAN}
CLASSES = [
    (module, name)
    for module, lean in LEAN.items()
    for name, cls in vars(lean).items()
    if isinstance(cls, type) and issubclass(cls, lean_messages.Message) and cls.__module__ == lean.__name__
]


@pytest.fixture(scope="module", autouse=True)
def without_defaults() -> Iterator[None]:
    """The whole SDK, which other tests import and no step, gives two classes defaults of its own."""
    changed = [REAL["pfs"].Repo, REAL["pfs"].RepoPickerRepoName]
    before = [vars(one).get("__post_init__") for one in changed]
    with pytest.MonkeyPatch.context() as patch:
        for one, own in zip(changed, before, strict=True):
            if own:
                patch.delattr(one, "__post_init__")
        yield


def layout(cls: Any) -> list[Field]:
    found: list[Field] = cls._laid_out().fields
    return found


def scalars(kind: str) -> st.SearchStrategy[Any]:
    return {
        "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        "bytes": st.binary(max_size=6),
        "bool": st.booleans(),
        "enum": st.integers(0, 3),
        "int32": st.integers(-(2**31), 2**31 - 1),
        "int64": st.integers(-(2**63), 2**63 - 1),
        "uint32": st.integers(0, 2**32 - 1),
        "uint64": st.integers(0, 2**64 - 1),
        "float": st.floats(width=32, allow_nan=False),
        "double": st.floats(allow_nan=False),
    }[kind]


moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))
spans = st.integers(0, 10**12).map(lambda micros: timedelta(microseconds=micros))


def values(field: Field, depth: int) -> st.SearchStrategy[Any]:
    if field.kind == "map":
        of = messages(field._class(), depth) if field.entry[1] == "message" else scalars(field.entry[1])
        return st.dictionaries(scalars(field.entry[0]), of, max_size=2)
    if field.wraps:
        return st.none() | scalars(field.wraps)
    if field.kind != "message":
        one = scalars(field.kind)
    elif field._class() in (datetime, timedelta):
        one = moments if field._class() is datetime else spans
    else:
        one = messages(field._class(), depth)
    return st.lists(one, max_size=3) if field.repeated else one


@st.composite
def messages(draw: st.DrawFn, cls: Any, depth: int = 3) -> Plan:
    given = (
        [] if depth == 0 else draw(st.lists(st.sampled_from(layout(cls) or [None]), max_size=4, unique=True))
    )
    chosen = {one.name: draw(values(one, depth - 1)) for one in given if one}
    return cls.__module__.rpartition(".")[2], cls.__name__, chosen


def make(plan: Any, modules: dict[str, ModuleType]) -> Any:
    if isinstance(plan, list):
        return [make(one, modules) for one in plan]
    if isinstance(plan, dict):
        return {name: make(one, modules) for name, one in plan.items()}
    if not isinstance(plan, tuple):
        return plan
    module, name, given = plan
    if module not in modules:  # google.protobuf.Any
        return (lean_messages.Packed if modules is LEAN else betterproto.lib.google.protobuf.Any)(**given)
    return getattr(modules[module], name)(**make(given, modules))


def same(lean: Any, real: Any) -> bool:
    """Whether both have the same values, also where they are defaults, to any depth."""
    if isinstance(lean, list):
        return len(lean) == len(real) and all(map(same, lean, real))
    if isinstance(lean, dict):
        return lean.keys() == real.keys() and all(same(lean[one], real[one]) for one in lean)
    if isinstance(lean, lean_messages.Message):
        names = [one.name for one in layout(type(lean)) if one.name in vars(lean)]
        return all(same(getattr(lean, one), getattr(real, one)) for one in names)
    return bool(lean == real)


def test_every_class_has_the_same_fields() -> None:
    assert len(CLASSES) > 250
    for module, name in CLASSES:
        lean, real = getattr(LEAN[module], name), getattr(REAL[module], name)
        message = real()
        metadata = message._betterproto.meta_by_field_name
        assert [(one.name, one.number, one.kind) for one in layout(lean)] == [
            (name, one.number, one.proto_type) for name, one in metadata.items()
        ]
        for one in layout(lean):
            default = real()._get_field_default(one.name)
            assert same(one.default(), default)
            assert isinstance(default, betterproto.Message) or type(one.default()) is type(default)


@given(st.sampled_from(CLASSES).flatmap(lambda one: messages(getattr(LEAN[one[0]], one[1]))))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_messages_have_the_same_bytes_and_values(plan: Plan) -> None:
    lean, real = make(plan, LEAN), make(plan, REAL)
    data = bytes(real)
    assert bytes(lean) == data
    assert bool(lean) == bool(real)
    read = type(lean).FromString(data)
    assert same(read, type(real).FromString(data))
    assert bytes(read) == bytes(type(real).FromString(data))
    assert (read == lean) == (type(real).FromString(data) == real)


@given(st.sampled_from(CLASSES).flatmap(lambda one: messages(getattr(LEAN[one[0]], one[1]))))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_values_may_be_set_one_by_one(plan: Plan) -> None:
    """As the SDK's stubs do."""
    module, name, given = plan
    made = []
    for modules in (LEAN, REAL):
        message = getattr(modules.get(module), name, None)
        if message is None:
            return  # google.protobuf.Any
        message = message()
        for one, value in make(given, modules).items():
            setattr(message, one, value)
        made.append(message)
    assert bytes(made[0]) == bytes(made[1])
    for one in layout(type(made[0])):
        assert same(getattr(made[0], one.name), getattr(made[1], one.name))
    assert bytes(made[0]) == bytes(made[1])


def enums() -> Iterator[tuple[Any, Any]]:
    for module, lean in LEAN.items():
        for name, real in vars(REAL[module]).items():
            if isinstance(real, type) and issubclass(real, betterproto.Enum):
                yield getattr(lean, name), real


def test_enums_are_the_same() -> None:
    every = list(enums())
    assert len(every) > 10
    for lean, real in every:
        assert [(one.name, one.value) for one in lean] == [(one.name, one.value) for one in real]
        first = next(iter(real))
        assert lean(first.value).name == first.name == lean[first.name].name
        assert getattr(lean, first.name) == first


def test_a_name_that_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match="Repo has no field 'colour'"):
        LEAN["pfs"].Repo(colour="red")


def test_a_message_shows_its_values() -> None:
    for modules in (LEAN, REAL):
        pfs = modules["pfs"]
        assert (
            repr(pfs.Repo(name="a", project=pfs.Project(name="b")))
            == "Repo(name='a', project=Project(name='b'))"
        )


def test_fields_that_are_not_known_are_left_out() -> None:
    data = bytes(REAL["pfs"].Repo(name="a")) + b"\x98\x06\x01"  # field 99
    assert bytes(LEAN["pfs"].Repo.FromString(data)) == bytes(REAL["pfs"].Repo(name="a"))


def test_threads_may_use_a_class_for_the_first_time_at_once() -> None:
    for _ in range(20):
        cls = _lean()["pfs"].CommitInfo
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda one, cls=cls: bytes(cls(description=one)), "abcdefgh"))
        assert made == [bytes(REAL["pfs"].CommitInfo(description=one)) for one in "abcdefgh"]
