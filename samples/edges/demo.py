"""`make demo`: commits photographs, runs the pipeline by kfp.local, prints the jobs and the lineage."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import skimage
from live import StepList
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pipeline import edge_detection  # the sample, in this folder

import kfp_pachyderm as pachyderm
from kfp_pachyderm import provenance
from kfp_pachyderm.pachd import references

#: Photographs that scikit-image ships.
PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
PROJECT = "vision"


def put_photographs(client: Client) -> str:
    """Commits the photographs to the repo `images`, once.

    Args:
        client: of the embedded Pachyderm.

    Returns:
        The head of images@master.
    """
    project = pfs.Project(name=PROJECT)
    if not client.pfs.project_exists(project):
        client.pfs.create_project(project=project)
    repo = pfs.Repo(name="images", type="user", project=project)
    master = pfs.Branch(repo=repo, name="master")
    if not client.pfs.repo_exists(repo):
        client.pfs.create_repo(repo=repo)
    if not client.pfs.branch_exists(master) or not _paths(client, pfs.Commit(repo=repo, branch=master)):
        folder = Path(skimage.__file__).parent / "data"
        with client.pfs.commit(branch=master) as commit:
            for name in PHOTOGRAPHS:
                commit.put_file_from_bytes(path=f"/{name}", data=(folder / name).read_bytes())
    head = client.pfs.wait_commit(pfs.Commit(repo=repo, branch=master)).commit
    return f"{PROJECT}/images@{head.id}"


def _paths(client: Client, commit: pfs.Commit) -> list[str]:
    return [info.file.path for info in client.pfs.walk_file(file=pfs.File(commit=commit, path="/"))]


def run_pipeline(log: Path) -> str:
    """Runs the pipeline by kfp.local, whose log goes to a file.

    Returns:
        The montage's commit.

    Raises:
        SystemExit: a step failed.
    """
    try:
        with StepList(log) as steps, redirect_stdout(steps):
            return edge_detection(sigma=1.5).output
    except RuntimeError as error:
        raise SystemExit(f"{error}\nlog      {log}") from error


def recorded_steps(kfp_root: Path) -> list[dict[str, object]]:
    """KFP's record of every step of the newest run: the metadata of its artifact `pachyderm`."""
    newest = max(kfp_root.iterdir(), key=lambda run: run.stat().st_mtime)
    outputs = [json.loads(path.read_text()) for path in newest.glob("*/executor_output.json")]
    records = [
        output["artifacts"]["pachyderm"]["artifacts"][0]["metadata"]
        for output in outputs
        if "pachyderm" in output.get("artifacts", {})
    ]
    return sorted(records, key=lambda record: record["started"])


def fetch_picture(client: Client, commit: str, target: Path) -> None:
    """Writes the montage of that commit to `target`."""
    reference = references.parse(commit, PROJECT)
    file = pfs.File(commit=references.commit_message(reference), path="/montage.png")
    with client.pfs.pfs_file(file=file) as picture:
        target.write_bytes(picture.read())


def show(record: dict[str, object]) -> None:
    """Prints one step."""
    print(f"\nstep {record['kfp_task']}")
    for title, key in (
        ("Pachyderm job", "job"),
        ("pipeline", "pipeline"),
        ("sidecar", "sidecar"),
        ("input commits", "input_commits"),
        ("output commit", "output_commit"),
        ("state", "state"),
        ("duration", "duration_seconds"),
    ):
        print(f"  {title:<15} {record[key]}{' s' if key == 'duration_seconds' else ''}")


def main() -> None:
    """Runs the demo in ./.demo."""
    demo = Path(".demo").resolve()
    kfp_root, log = demo / "kfp", demo / "demo.log"
    print(f"starting the embedded Pachyderm in {demo / 'pachyderm'} ...", flush=True)
    with pachyderm.local.init(demo / "pachyderm", pipeline_root=str(kfp_root)) as embedded:
        photographs = put_photographs(embedded.client)
        print(f"photographs: {photographs}\nrunning samples/edges/pipeline.py with kfp.local:\n", flush=True)
        made = run_pipeline(log)
        steps = recorded_steps(kfp_root)
        behind = provenance.lineage(made)
        fetch_picture(embedded.client, made, demo / "montage.png")
    record = {
        "steps": steps,
        "lineage": {str(one.commit): [str(source) for source in one.inputs] for one in behind.nodes},
        "photographs": photographs,
        "picture": str(demo / "montage.png"),
    }
    (demo / "record.json").write_text(json.dumps(record, indent=2) + "\n")
    for step in steps:
        show(step)
    print("\nlineage of the montage")
    print("\n".join(f"  {line}" for line in behind.text().splitlines()))
    print(f"\npicture  {demo / 'montage.png'}\nrecord   {demo / 'record.json'}\nlog      {log}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
