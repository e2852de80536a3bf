"""ceph/s3-tests against the adapter's application: tests that passed once must still pass.

The suite is not part of this repository: KFP_PACHYDERM_S3_TESTS names a folder with a copy of it, at the
commit that `s3_tests_failing.md` names. The subset is `test_s3.py` without the features that a step's buckets
lack. Words in the tests' names and marks (`WITHOUT`) choose it, not whether a test passes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITE = os.environ.get("KFP_PACHYDERM_S3_TESTS", "")
FILE = "s3tests/functional/test_s3.py"
WITHOUT = ["acl", "policy", "versioning", "tagging", "lock", "lifecycle", "encryption", "logging"]
WITHOUT += ["website", "post", "sse", "cors", "iam"]
SUBSET = [FILE, "-k", " and ".join(f"not {word}" for word in WITHOUT)]
NEEDED = ("munch", "isodate", "pytz", "httplib2", "lxml")
PASSING = HERE.joinpath("s3_tests_passing.txt").read_text().split()
FAILING = re.findall(r"^\| (test_\S+) \|", HERE.joinpath("s3_tests_failing.md").read_text(), re.MULTILINE)
#: The least number of tests that must pass. It only grows.
LEAST = 232

in_the_suite = pytest.mark.skipif(
    not SUITE or not all(map(find_spec, NEEDED)),
    reason=f"KFP_PACHYDERM_S3_TESTS names no copy of ceph/s3-tests, or {', '.join(NEEDED)} are missing",
)


def test_the_lists_name_each_test_once() -> None:
    assert len({*PASSING, *FAILING}) == len(PASSING) + len(FAILING)
    assert len(PASSING) >= LEAST


@pytest.fixture
def configuration(tmp_path: Path) -> Iterator[Path]:
    """Starts a server for the suite, and returns the configuration file that names it."""
    file = tmp_path / "s3tests.conf"
    with subprocess.Popen(
        [sys.executable, str(HERE / "many_buckets.py"), str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdout.readline()
        yield file
        server.stdin.close()


def suite(configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=line", *arguments],
        cwd=SUITE,
        env={**os.environ, "S3TEST_CONF": str(configuration)},
        capture_output=True,
        text=True,
        check=False,
    )


@in_the_suite
def test_the_lists_are_the_whole_subset(configuration: Path) -> None:
    collected = suite(configuration, "--collect-only", *SUBSET).stdout
    names = re.findall(rf"^{re.escape(FILE)}::(\S+)$", collected, re.MULTILINE)
    assert sorted(names) == sorted([*PASSING, *FAILING])


@in_the_suite
@pytest.mark.timeout(1800)
def test_what_passed_passes(configuration: Path) -> None:
    done = suite(configuration, *(f"{FILE}::{name}" for name in PASSING))
    assert done.returncode == 0, done.stdout[-5000:]
