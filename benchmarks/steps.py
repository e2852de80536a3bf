"""The time that a Pachyderm job adds to a step: one component, plain and S3-enabled in turn, by kfp.local."""

import contextlib
import io
import logging
import statistics
import tempfile
import time
from collections.abc import Callable

ROUNDS = 7


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        call()
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """Medians in seconds of the plain and of the S3-enabled component, and their difference."""
    from kfp import dsl

    import kfp_pachyderm as pachyderm

    @dsl.component(install_kfp_package=False)
    def plain() -> int:
        return 1

    enabled = pachyderm.s3_enabled(plain, inputs=[pachyderm.S3Input("images")], project="vision")

    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder, pachyderm.local.init(folder) as embedded:
        from benchmarks.fixtures import make_repo

        make_repo(embedded.client, "vision", "images", {"/a.txt": b"a"})
        _seconds(lambda: enabled())  # makes the pipeline
        times = [(_seconds(lambda: plain()), _seconds(lambda: enabled())) for _ in range(ROUNDS)]
    return {
        "plain step, s": statistics.median(plain for plain, _ in times),
        "S3-enabled step, s": statistics.median(enabled for _, enabled in times),
        "S3-enabled minus plain, s": statistics.median(enabled - plain for plain, enabled in times),
    }
