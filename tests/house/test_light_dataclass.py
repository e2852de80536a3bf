"""The launcher's own `dataclass` makes what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, InitVar, asdict, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import pytest

from kfp_pachyderm import light_dataclass


def made(dataclass: Callable[..., Any]) -> Any:
    @dataclass(frozen=True)
    class Value:
        name: str
        secret: str = field(default="", repr=False)
        listed: tuple[int, ...] = field(default_factory=tuple)
        seen: int = field(default=0, compare=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "name", self.name.strip())

        @cached_property
        def longer(self) -> str:
            return self.name * 2

    return Value


@pytest.fixture(params=[dataclasses.dataclass, light_dataclass.dataclass], ids=["standard", "light"])
def kind(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


def test_values(kind: Any) -> None:
    one, same = kind(" a ", "hidden", (1,), 2), kind("a", secret="hidden", listed=(1,), seen=3)
    assert repr(one).endswith("Value(name='a', listed=(1,), seen=2)")
    assert one == same
    assert hash(one) == hash(same) == hash(("a", "hidden", (1,)))
    assert one != kind("b", "hidden", (1,))
    assert one != ("a", "hidden", (1,), 2)
    assert (one.longer, one.longer) == ("aa", "aa")
    assert replace(one, name="c").name == "c"
    assert asdict(one) == {"name": "a", "secret": "hidden", "listed": (1,), "seen": 2}
    assert [named.name for named in fields(kind)] == list(kind.__match_args__)
    assert is_dataclass(kind)
    assert copy.deepcopy(one) == copy.copy(one) == one


def test_they_do_not_change(kind: Any) -> None:
    one = kind("a")
    for change in (
        lambda: setattr(one, "name", "b"),
        lambda: setattr(one, "other", "b"),
        lambda: delattr(one, "name"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()
    assert one == kind("a")


def test_a_wrong_call_is_told_alike(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword argument 'nobody'"):
        kind("a", nobody=1)


def test_what_builds_on_one(kind: Any) -> None:
    for dataclass in (dataclasses.dataclass, light_dataclass.dataclass):
        more: Any = dataclass(frozen=True)(
            type("More", (kind,), {"__annotations__": {"more": "int"}, "more": 1})
        )
        assert repr(more("a", more=2)) == "More(name='a', listed=(), seen=0, more=2)"
        with pytest.raises(FrozenInstanceError):
            more("a").more = 3


def test_a_plain_class_below_one_has_attributes_of_its_own(kind: Any) -> None:
    one: Any = type("Plain", (kind,), {})("a")
    one.other = 1
    assert one.other == 1
    del one.other
    assert not hasattr(one, "other")
    for change in (lambda: setattr(one, "name", "b"), lambda: delattr(one, "name")):
        with pytest.raises(FrozenInstanceError):
            change()


def test_one_with_not_a_number_equals_itself(kind: Any) -> None:
    one = kind("a", secret=float("nan"))
    assert one == one


def test_slots_that_a_class_names_itself_stay_its_only_attributes() -> None:
    for dataclass in (dataclasses.dataclass, light_dataclass.dataclass):
        named: Any = type("Named", (), {"__slots__": ("a",), "__annotations__": {"a": "int"}})
        one = dataclass(frozen=True)(named)(1)
        assert (one.a, one) == (1, dataclasses.replace(one))
        with pytest.raises(FrozenInstanceError):
            one.a = 2


@pytest.mark.parametrize("options", [{}, {"frozen": True, "slots": True}, {"order": True}])
def test_any_other_is_the_standard_librarys(options: dict[str, bool]) -> None:
    one: Any = light_dataclass.dataclass(**options)(type("One", (), {"__annotations__": {"a": "int"}}))
    assert "__repr__" in vars(one)
    assert vars(one)["__repr__"].__qualname__ != light_dataclass._METHODS["__repr__"].__qualname__
    assert repr(one(1)) == "One(a=1)"


def test_own_methods_stay() -> None:
    @light_dataclass.dataclass(frozen=True)
    class Own:
        name: str

        def __repr__(self) -> str:
            return "own"

    assert repr(Own("a")) == "own"
    assert hash(Own("a")) == hash(("a",))


def test_they_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = made(light_dataclass.dataclass)
    kind.__qualname__ = "Value"
    monkeypatch.setitem(globals(), "Value", kind)
    assert pickle.loads(pickle.dumps(kind("a"))) == kind("a")  # noqa: S301


@pytest.mark.parametrize("call", ["()", "('a', '', (), 0, 1)", "('a', name='b')"])
def test_other_wrong_calls_are_told(kind: Any, call: str) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) (missing|takes|got multiple)"):
        eval(f"kind{call}")  # noqa: S307


def test_fields_that_are_no_arguments_by_position() -> None:
    for dataclass in (dataclasses.dataclass, light_dataclass.dataclass):

        @dataclass(frozen=True)
        class Odd:
            every: ClassVar[int] = 3
            a: int
            b: int = field(default=1, kw_only=True)
            c: int = field(default=2, init=False)
            d: InitVar[int] = 4

        assert repr(Odd(1, b=5)).endswith("Odd(a=1, b=5, c=2)")
        with pytest.raises(TypeError):
            Odd(1, c=3)  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            Odd(1, 2, 3)  # type: ignore[misc]
