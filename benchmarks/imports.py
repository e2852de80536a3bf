"""The seconds that `import kfp_pachyderm` takes, beside those of `import kfp`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 7


def _seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """Medians in seconds, interpreter start included, taken in turn."""
    statements = ("pass", "import kfp", "import kfp_pachyderm", "import kfp, kfp_pachyderm")
    rounds = [[_seconds(statement) for statement in statements] for _ in range(ROUNDS)]
    medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
    figures = {f"python -c '{name}', s": value for name, value in zip(statements, medians, strict=True)}
    figures["kfp_pachyderm beside kfp, s"] = statistics.median(both - kfp for _, kfp, _, both in rounds)
    return figures
