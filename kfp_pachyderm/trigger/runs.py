"""The runs of one trigger in KFP: looked up by their name, started, terminated."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfp_pachyderm.trigger import pipeline
from kfp_pachyderm.trigger.kfp_client import asked, connect
from kfp_pachyderm.trigger.pipeline import Version

#: What is run, and its arguments.
Prepared = tuple[Version, dict[str, Any]]


@dataclass
class Runs:
    """What a trigger asks of KFP.

    Args:
        package: the compiled pipeline; None: `pipeline` names one that KFP has.
        pipeline: its name in KFP.
        version: of that; None: the newest at each start.
        parameter: the pipeline's parameter that gets the commit.
        given: other arguments, as texts.
        host: KFP's address; None: as `kfp.Client` finds it.
        namespace: of the user in a multi-user KFP; None: as `kfp.Client` finds it.
        experiment: that the runs belong to; made when missing.
        service_account: that the runs' pods get; None: KFP's default.
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
        """Whether a run can be started at all.

        Raises:
            NotFoundError, SpecError: the pipeline is not there, or its parameters are others.
            KfpApiError: KFP does not answer.
        """
        self._version().arguments(self.parameter, "", self.given)

    def find(self, name: str) -> list[str]:
        """The IDs of the runs of this name, the first one first.

        Raises:
            KfpApiError: KFP does not answer.
        """
        equal = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        with asked(f"runs called {name}"):
            found = self._kfp().list_runs(
                page_size=100, namespace=self.namespace, filter=json.dumps({"predicates": [equal]})
            )
        # MySQL finds without regard to case
        same = [one for one in found.runs or () if one.display_name == name]
        return [one.run_id for one in sorted(same, key=lambda one: (one.created_at, one.run_id))]

    def prepare(self, commit: str) -> Prepared:
        """All that `start` needs, so that it is one request.

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
        """Starts a run; its ID.

        Raises:
            KfpApiError: KFP does not answer, or refuses it.
        """
        version, arguments = prepared
        experiment, self._experiment_id = self._experiment_id, ""
        with asked(f"start of {name}"):
            run = self._kfp().run_pipeline(
                experiment, name, params=arguments, service_account=self.service_account, **version.source
            )
        # it is there, as the next one needs it
        self._experiment_id = experiment
        return str(run.run_id)

    def terminate(self, run: str) -> None:
        """Ends a run that should not be.

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
