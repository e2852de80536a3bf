"""Finds, starts and terminates the KFP runs of one trigger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfp_pachyderm.kfp_api import asked, connect
from kfp_pachyderm.trigger import pipeline
from kfp_pachyderm.trigger.pipeline import Version

#: The pipeline's version, and the run's arguments.
Prepared = tuple[Version, dict[str, Any]]


@dataclass
class Runs:
    """The KFP runs of one trigger.

    Args:
        package: the file of the compiled pipeline; None: `pipeline` names a pipeline that KFP has.
        pipeline: the pipeline's name in KFP; "" with `package`.
        version: the name of the pipeline's version; None: at each start the newest.
        parameter: the pipeline's parameter that gets the commit.
        given: the other arguments, as texts.
        host: the URL of KFP's API; None: as `kfp.Client` finds it.
        namespace: the user's namespace in a multi-user KFP; None: as `kfp.Client` finds it.
        experiment: the experiment of the runs; it is made when missing.
        service_account: the Kubernetes service account of the runs' pods; None: KFP's default.
    """

    package: Path | None
    pipeline: str
    version: str | None
    parameter: str
    given: dict[str, str]
    host: str | None = None
    namespace: str | None = None
    experiment: str = "Default"
    service_account: str | None = None
    _client: Any = field(default=None, repr=False)
    _experiment_id: str = ""

    def check(self) -> None:
        """Checks that the pipeline exists and takes the arguments.

        Raises:
            NotFoundError: the pipeline does not exist.
            SpecError: the pipeline does not take the arguments.
            KfpApiError: KFP does not answer.
        """
        self._version().arguments(self.parameter, "", self.given)

    def find(self, name: str) -> list[str]:
        """Returns the IDs of the runs of this name, the oldest first.

        Raises:
            KfpApiError: KFP does not answer.
        """
        equal = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        with asked(f"runs called {name}"):
            found = self._kfp().list_runs(
                page_size=100, namespace=self.namespace, filter=json.dumps({"predicates": [equal]})
            )
        # KFP's MySQL compares names without regard to case.
        same = [one for one in found.runs or () if one.display_name == name]
        return [one.run_id for one in sorted(same, key=lambda one: (one.created_at, one.run_id))]

    def prepare(self, commit: str) -> Prepared:
        """Gets all that `start` needs, so that `start` makes one request only.

        Raises:
            NotFoundError, SpecError, KfpApiError: as `check`.
        """
        version = self._version()
        arguments = version.arguments(self.parameter, commit, self.given)
        if not self._experiment_id:
            with asked(f"experiment {self.experiment}"):
                made = self._kfp().create_experiment(self.experiment, namespace=self.namespace)
            self._experiment_id = made.experiment_id
        return version, arguments

    def start(self, name: str, prepared: Prepared) -> str:
        """Starts a run, and returns its ID.

        Raises:
            KfpApiError: KFP does not answer, or refuses the run.
        """
        version, arguments = prepared
        experiment, self._experiment_id = self._experiment_id, ""
        with asked(f"start of {name}"):
            run = self._kfp().run_pipeline(
                experiment, name, params=arguments, service_account=self.service_account, **version.source
            )
        # The experiment still exists, so the next start may use its ID. After an error it is looked up again.
        self._experiment_id = experiment
        return str(run.run_id)

    def terminate(self, run: str) -> None:
        """Terminates a run.

        Raises:
            KfpApiError: KFP does not answer, or refuses it.
        """
        with asked(f"end of run {run}"):
            self._kfp().terminate_run(run)

    def _version(self) -> Version:
        if self.package:
            return pipeline.of_package(self.package)
        return pipeline.of_name(self._kfp(), self.pipeline, self.version)

    def _kfp(self) -> Any:
        if self._client is None:
            self._client = connect(self.host)
        return self._client
