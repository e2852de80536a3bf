"""`python -m benchmarks [name ...]`: the measurements of these names, or all of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import adapter, embedded, fan, imports, large, lineage, steps


@dataclass(frozen=True)
class Measurement:
    """What can be measured by its name.

    Args:
        title: stands above what comes out.
        run: prints it.
    """

    title: str
    run: Callable[[], None]


def _table(measure: Callable[[], dict[str, float]]) -> Callable[[], None]:
    def run() -> None:
        for name, value in measure().items():
            print(f"  {name:<48} {value:10.3f}")

    return run


MEASUREMENTS = {
    "adapter": Measurement("the step's adapter", adapter.main),
    "steps": Measurement("a step", _table(steps.measure)),
    "large": Measurement("a step's large output", _table(large.measure)),
    "fan": Measurement("a loop of eight steps", _table(fan.measure)),
    "imports": Measurement("imports", _table(imports.measure)),
    "sidecar": Measurement("the sidecar's S3", _table(embedded.measure)),
    "fresh": Measurement("a fresh embedded Pachyderm per test", _table(embedded.measure_fresh)),
    "growth": Measurement("growth of the embedded Pachyderm", _table(embedded.measure_growth)),
    "lineages": Measurement("lineages", _table(lineage.measure)),
}


def _known(name: str) -> str:
    if name not in MEASUREMENTS:
        raise argparse.ArgumentTypeError(f"there is no {name!r}, but {', '.join(MEASUREMENTS)}")
    return name


def main(arguments: list[str] | None = None) -> None:
    """Prints a table for each.

    Args:
        arguments: names; None: those of the command line.
    """
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", type=_known, metavar="name", help=", ".join(MEASUREMENTS))
    for name in parser.parse_args(arguments).names or MEASUREMENTS:
        print(f"\n{MEASUREMENTS[name].title}", flush=True)
        MEASUREMENTS[name].run()


if __name__ == "__main__":
    main()
