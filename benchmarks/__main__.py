"""Runs every measurement and prints its figures."""

from __future__ import annotations

from benchmarks import embedded, imports, steps, throughput


def main() -> None:
    """Prints one table."""
    for title, measure in (
        ("a step", steps.measure),
        ("imports", imports.measure),
        ("256 MiB", throughput.measure),
        ("the sidecar's S3", embedded.measure),
        ("a fresh embedded Pachyderm per test", embedded.measure_fresh),
        ("growth of the embedded Pachyderm", embedded.measure_growth),
    ):
        print(f"\n{title}")
        for name, value in measure().items():
            print(f"  {name:<48} {value:10.3f}")


if __name__ == "__main__":
    main()
