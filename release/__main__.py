"""`python -m release [--version X] [--tag]`: builds and checks; tags only with --tag; pushes never."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from release import sbom
from release.bare import DEMO, Bare
from release.contents import check_metadata, check_sdist, check_wheel
from release.version import ReleaseError, set_version, version_of

ROOT = Path(__file__).parents[1]


def git(*arguments: str) -> bytes:
    """Runs git in the repository; returns what it prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def export(folder: Path) -> list[str]:
    """Extracts the tree of HEAD into a folder; returns the paths of its files."""
    with tarfile.open(fileobj=BytesIO(git("archive", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")
    return git("ls-tree", "-r", "--name-only", "-z", "HEAD").decode().rstrip("\0").split("\0")


def build(tree: Path, target: Path) -> tuple[Path, Path]:
    """Builds the wheel and the sdist; the same commit gives the same bytes."""
    shutil.rmtree(target, ignore_errors=True)
    when = git("log", "-1", "--format=%ct").decode().strip()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": when}
    command = [sys.executable, "-m", "build", "--outdir", str(target), str(tree)]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


def check(tree: Path, files: list[str], wheel: Path, sdist: Path, version: str) -> None:
    """Makes all checks of wheel and sdist that need no installation."""
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)], check=True)
    check_wheel(wheel, files, version)
    check_sdist(sdist, files, version)
    check_metadata(wheel, tree, version)
    print(f"contents   {wheel.name}, {sdist.name}: what is in git, and nothing else")


def try_out(tree: Path, wheel: Path, version: str, folder: Path) -> None:
    """Installs the wheel in a bare environment, writes the SBOM of that, and runs the demo's job."""
    bare = Bare(folder)
    print(f"core       installed in {bare.install(wheel):.0f} s")
    bare.check_version(version)
    target = wheel.with_name(f"kfp_pachyderm-{version}.cdx.json")
    sbom.write(bare.python, tree / "pyproject.toml", target)
    print(f"SBOM       {target.name}: {sbom.check(target, wheel, version)} packages")
    print(f"[local]    installed in {bare.install(wheel, '[local]', *DEMO):.0f} s")
    bare.check_demo(tree / "samples" / "edges", version)
    print(f"demo       ran without the repository, its records name {version}")


def tag(version: str, date: str) -> None:
    """Commits version and changelog, and tags the commit; pushes nothing."""
    if git("status", "--porcelain", "--untracked-files=no"):
        raise ReleaseError("there are changes that are not committed: what was checked is HEAD without them")
    said = set_version(ROOT, version, date)
    git("commit", "--quiet", "-m", f"Release {version}", "pyproject.toml", "CHANGELOG.md")
    git("tag", "--annotate", f"v{version}", "-m", f"kfp-pachyderm {version}\n\n{said}")
    print(f"tagged     v{version}; to publish: git push origin HEAD v{version}, twine upload dist/*")


def main() -> None:
    """Makes a release of HEAD in dist/."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("--version", default=version_of(ROOT))
    parser.add_argument("--tag", action="store_true")
    asked = parser.parse_args()
    date = datetime.now(UTC).date().isoformat()
    with tempfile.TemporaryDirectory(prefix="kfp-pachyderm-release-") as folder:
        tree, there = Path(folder, "tree"), Path(folder, "bare")
        tree.mkdir()
        files = export(tree)
        set_version(tree, asked.version, date)
        wheel, sdist = build(tree, ROOT / "dist")
        check(tree, files, wheel, sdist, asked.version)
        try_out(tree, wheel, asked.version, there)
    if asked.tag:
        tag(asked.version, date)
    for file in sorted((ROOT / "dist").iterdir()):
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  dist/{file.name}")


if __name__ == "__main__":
    try:
        main()
    except ReleaseError as error:
        sys.exit(f"no release: {error}")
