"""From a KFP run to its commits, by `kfp.Client` on a server that speaks KFP's API."""

from __future__ import annotations

from pathlib import Path

import kfp
import pytest
from local_runs import LocalRuns  # type: ignore[import-not-found]
from replay_steps import framing  # type: ignore[import-not-found]

from kfp_pachyderm import provenance
from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.replay.pipeline import compiled
from kfp_pachyderm.testing import Pachyderm


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_the_commits_of_a_kfp_run(pachyderm: Pachyderm, tmp_path: Path) -> None:
    pachyderm.put("vision/photos", {"/a.txt": b"abc"})
    file = tmp_path / "framing.yaml"
    file.write_text(compiled(framing))
    with LocalRuns(tmp_path / "pachyderm" / "kfp") as api:
        client = kfp.Client(host=api.url)
        run = client.create_run_from_pipeline_package(str(file)).run_id
        api.tell(run, flip="SUCCEEDED", frame="SUCCEEDED")
        found = provenance.of_run(client, run)
        assert [(one.name, one.state, one.note) for one in found.tasks] == [
            ("flip", "SUCCEEDED", ""), ("frame", "SUCCEEDED", ""),
        ]  # fmt: skip
        assert [one.repo for name in ("flip", "frame") for one in found.commits[name]] == ["flip", "frame"]
        assert {one.title for one in found.nodes} == {"flip", "frame", "photos"}

        # a run of the same pipeline in which KFP took all from its cache, and one that failed
        api.store.runs["cached"] = api.store.runs[run]
        cached = provenance.of_run(client, "cached", pachyderm=pachyderm.address)
        assert [(one.commits, "from its cache" in one.note) for one in cached.tasks] == [((), True)] * 2
        api.tell("cached", flip="FAILED")
        failed = provenance.of_run(client, "cached")
        assert {(one.state, one.note) for one in failed.tasks} == {
            ("FAILED", "it has left no commit"), ("", "it has left no commit"),
        }  # fmt: skip

        # KFP does not know the run, then does not answer
        del api.store.runs[run]
        forgotten = provenance.of_run(client, run)
        assert forgotten.commits == found.commits
        assert "404" in forgotten.told[0]
        with pytest.raises(NotFoundError, match="no commit says"):
            provenance.of_run(client, "nobodys")
    assert provenance.of_run(None, run).commits == found.commits
