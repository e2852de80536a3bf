"""`python -m benchmarks [adapter]`: every measurement, or the adapter's alone, with its targets."""

from __future__ import annotations

import sys

from benchmarks import adapter, embedded, fan, imports, lineage, steps


def main() -> None:
    """Prints one table."""
    print("the step's adapter")
    adapter.main()
    if sys.argv[1:] == ["adapter"]:
        return
    for title, measure in (
        ("a step", steps.measure),
        ("a loop of eight steps", fan.measure),
        ("imports", imports.measure),
        ("the sidecar's S3", embedded.measure),
        ("a fresh embedded Pachyderm per test", embedded.measure_fresh),
        ("growth of the embedded Pachyderm", embedded.measure_growth),
        ("lineages", lineage.measure),
    ):
        print(f"\n{title}")
        for name, value in measure().items():
            print(f"  {name:<48} {value:10.3f}")


if __name__ == "__main__":
    main()
