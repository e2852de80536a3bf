"""`python -m benchmarks` measures what is named, or all."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.__main__ import MEASUREMENTS, Measurement


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of those that ran."""
    ran = list[str]()
    for name, one in MEASUREMENTS.items():
        told = Measurement(one.title, lambda name=name: ran.append(name))
        monkeypatch.setitem(benchmarks.MEASUREMENTS, name, told)
    return ran


@pytest.mark.parametrize("names", [["steps"], ["fan"], ["imports", "adapter"]])
def test_those_that_are_named_run_and_no_others(measured: list[str], names: list[str]) -> None:
    benchmarks.main(names)
    assert measured == names


def test_all_run_when_none_is_named(measured: list[str]) -> None:
    benchmarks.main([])
    assert measured == list(MEASUREMENTS)


def test_an_unknown_name_is_told_with_those_that_there_are(
    measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmarks.main(["fan", "fans"])
    assert ended.value.code == 2
    assert f"there is no 'fans', but {', '.join(MEASUREMENTS)}" in capsys.readouterr().err
    assert measured == []
