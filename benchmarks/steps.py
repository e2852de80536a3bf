"""The time that a Pachyderm job adds to a step: one component, plain and S3-enabled in turn, by kfp.local."""

import compileall
import contextlib
import io
import logging
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 7


def _cost(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU in the processes that it starts, which a busy machine changes less."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with contextlib.redirect_stdout(io.StringIO()):
        call()
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure() -> dict[str, float]:
    """Medians of the plain and the S3-enabled component, and of their difference, in seconds and CPU seconds.

    The CPU seconds leave out the embedded server's.
    """
    from kfp import dsl

    import kfp_pachyderm as pachyderm

    @dsl.component(install_kfp_package=False)
    def plain() -> int:
        return 1

    enabled = pachyderm.s3_enabled(plain, inputs=[pachyderm.S3Input("images")], project="vision")

    # as pip does; where Python may write none (PYTHONDONTWRITEBYTECODE) each step compiles a checkout anew
    compileall.compile_dir(Path(pachyderm.__file__).parent, quiet=1)
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder, pachyderm.local.init(folder) as embedded:
        from benchmarks.fixtures import make_repo

        make_repo(embedded.client, "vision", "images", {"/a.txt": b"a"})
        _cost(lambda: enabled())  # makes the pipeline
        times = [(_cost(lambda: plain()), _cost(lambda: enabled())) for _ in range(ROUNDS)]
    figures = {}
    for which, unit in enumerate(("s", "CPU s")):
        pairs = [(one[which], other[which]) for one, other in times]
        figures[f"plain step, {unit}"] = statistics.median(one for one, _ in pairs)
        figures[f"S3-enabled step, {unit}"] = statistics.median(other for _, other in pairs)
        figures[f"S3-enabled minus plain, {unit}"] = statistics.median(other - one for one, other in pairs)
    return figures
