"""What authoring tells the launcher: one JSON text in the step's command.

Written at compile time by `kfp_pachyderm.authoring`, read in the container by the launcher. Standard library
only, so that both sides can import it. It must be stable: its text is part of KFP's cache key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, Literal

VERSION = 1
#: The task's environment variable that says what compiled the pipeline. The config must not say it: image,
#: command and inputs are in the cache key of KFP's backend (backend/src/v2/cacheutils/cache.go), which must
#: not change with every git commit.
COMPILED_VARIABLE = "KFP_PACHYDERM_COMPILED"

#: Texts that others would replace on the way: Argo ({{), Kubernetes ($(VAR)), kfp.local (python3).
_REPLACED_ON_THE_WAY = (("{{", "{\\u007b"), ("$", "\\u0024"), ("python3", "python\\u0033"))


@dataclass(frozen=True)
class InputConfig:
    """One input of a step: which KFP parameter names its commit, and what is taken when that is empty.

    Args:
        name: the bucket (S3) or folder (files), also the name of the KFP parameter.
        repo: the Pachyderm repo.
        branch: the branch whose newest good commit is taken when the parameter is "".
        project: the repo's project; None: the step's own.
        s3: True for a bucket, False for files laid out by glob.
        glob: Pachyderm's glob; "/" for S3 inputs.
        many: whether the parameter takes a list of commits, each a folder of the bucket.
        merge: whether their keys are in one flat bucket instead.
    """

    name: str
    repo: str
    branch: str = "master"
    project: str | None = None
    s3: bool = True
    glob: str = "/"
    many: bool = False
    merge: bool = False


@dataclass(frozen=True)
class HolderConfig:
    """How the job's user code is made and how long it waits; times in seconds.

    Args:
        image: as in HolderOptions; "": the namespace's, else the usual one (launcher/claim/holder_image.py).
        attach_timeout: how long the holder waits for the launcher before it ends the job.
        lease: how long the holder waits for a heartbeat before it ends the job.
        sidecar_memory: memory request of the worker's sidecar; None: the pipeline spec's, else the default.
    """

    image: str = ""
    attach_timeout: float = 30.0
    lease: float = 30.0
    sidecar_memory: str | None = None


@dataclass(frozen=True)
class StepConfig:
    """All that the launcher needs to know about one wrapped component.

    Args:
        component: the KFP component's name.
        inputs: the step's inputs.
        name: the Pachyderm pipeline; None: the KFP task's name.
        project: the Pachyderm project.
        s3_out: whether the step has an output bucket.
        gateway: "adapter", or "direct" for the sidecar's own S3.
        address: pachd's address as the pipeline's author gave it; None: environment or default.
        pipeline_spec: further fields of Pachyderm's pipeline spec, in Pachyderm's JSON spelling.
        holder: the holder's settings.
        timeout: seconds for waiting on Pachyderm (commits, attach, close); None: the default.
        digest: digest of the component before it was wrapped.
        image: the component's image.
        verify: whether the output's "content" is compared with what was written, or its "size" alone.
        keys: what becomes of keys that Pachyderm can't hold: "refuse", or "encode".
        concurrency: how many jobs of the step may run at once, each in a pipeline of its own.
        share: whether processes on other hosts may use the step's S3 endpoint.
        workload: the parameters by which the step hands settings to a workload that it starts.
        workload_env: which process gets the environment that the step's author sets: the step (""), that
            workload ("handed"), or both ("shared").
        private: the parameters that are not recorded.
        command: the component's own command and arguments, where KFP replaces more placeholders in them than
            `{{$}}`: the launcher gets such a command with values in it, private ones too.
    """

    component: str
    inputs: tuple[InputConfig, ...] = ()
    name: str | None = None
    project: str = "default"
    s3_out: bool = True
    gateway: Literal["adapter", "direct"] = "adapter"
    address: str | None = None
    pipeline_spec: dict[str, Any] = field(default_factory=dict)
    holder: HolderConfig = field(default_factory=HolderConfig)
    timeout: float | None = None
    digest: str = ""
    image: str = ""
    verify: Literal["content", "size"] = "content"
    keys: Literal["refuse", "encode"] = "refuse"
    concurrency: int = 1
    share: bool = False
    workload: tuple[str, ...] = ()
    workload_env: Literal["", "shared", "handed"] = ""
    private: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def pipeline(self, task: str) -> str:
        """The Pachyderm pipeline of the step, as a KFP task of that name; "" where that is not known."""
        if self.name:
            return self.name
        name = re.sub(r"[^a-z0-9]+", "-", (task or self.component).lower())
        return name[: self._longest].strip("-")

    def pipelines(self, task: str) -> tuple[str, ...]:
        """The names of all pipelines that the step may have; `pipeline` is the first of them."""
        name = self.pipeline(task)
        suffixes = [f"-{number}" for number in range(2, self.concurrency + 1)]
        return (name, *(name[: self._longest - len(one)].rstrip("-") + one for one in suffixes))

    @property
    def _longest(self) -> int:
        """Letters of a pipeline's name (pachd/pipeline_plan.py, check_name)."""
        return min(51, 58 - len(self.project))


@dataclass(frozen=True)
class AheadConfig:
    """A step of a run whose Pachyderm pipeline the snapshot makes ahead.

    Args:
        task: the KFP task's name.
        step: the step's config; its address, digest and image are not used here.
        inputs: input's name → what it reads: an output of the snapshot, or (with an @) a reference, of which
            only project and repo count.
    """

    task: str
    step: StepConfig
    inputs: dict[str, str]


@dataclass(frozen=True)
class SnapshotConfig:
    """What a run's snapshot step resolves: output parameter → commit reference.

    Args:
        project: the project of references that name none.
        references: output parameter's name → reference, or "" to read the input parameter of the same name.
        optional: outputs that only steps read which KFP may skip; a reference that can't be resolved at once
            is left for those steps to resolve.
        ahead: the steps whose pipelines are made ahead, in the order in which they read from each other.
        address: as in StepConfig.
        timeout: as in StepConfig.
        lists: the outputs that are lists of commits, from input parameters that are lists of references.
        elements: the outputs that are read as elements of lists alone: a commit without files is one of them.
    """

    project: str
    references: dict[str, str]
    optional: tuple[str, ...] = ()
    ahead: tuple[AheadConfig, ...] = ()
    address: str | None = None
    timeout: float | None = None
    lists: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReusableConfig:
    """Which reusable component runs; what it is to do comes as KFP inputs.

    Args:
        component: its name, "repo/put".
        digest: digest of its interface.
        image: its image.
    """

    component: str
    digest: str = ""
    image: str = ""


Config = StepConfig | SnapshotConfig | ReusableConfig
#: The config's kinds by their names in the JSON.
_KINDS: dict[str, type[Config]] = {"step": StepConfig, "snapshot": SnapshotConfig, "reusable": ReusableConfig}


def dumps(config: Config) -> str:
    """The config as one line of JSON that survives Argo, Kubernetes and kfp.local unchanged."""
    kind = next(name for name, type_ in _KINDS.items() if isinstance(config, type_))
    text = json.dumps(
        {"version": VERSION, "kind": kind, **_given(config)}, sort_keys=True, separators=(",", ":")
    )
    for found, escaped in _REPLACED_ON_THE_WAY:
        text = text.replace(found, escaped)
    return text


def _given(value: Any) -> Any:
    """The value without its defaults: a release that adds a setting must not change the text of all steps."""
    if isinstance(value, tuple):
        return [_given(one) for one in value]
    if not is_dataclass(value):
        return value
    every = [(one, getattr(value, one.name)) for one in fields(value)]
    return {one.name: _given(given) for one, given in every if given != _default(one)}


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def loads(text: str) -> Config:
    """The config that `dumps` wrote.

    Raises:
        ValueError: another version, no such config, or one with settings of a later release.
    """
    data = json.loads(text)
    version, kind = data.pop("version", None), data.pop("kind", None)
    if version != VERSION:
        raise ValueError(
            f"step config has version {version!r}, this launcher reads {VERSION}: recompile the pipeline"
        )
    if kind not in _KINDS:
        raise ValueError(
            f"step config is for {kind!r}, which this launcher does not know: install its version"
        )
    try:
        return _READERS[kind](data)
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"step config can't be read by this launcher: {error}; install the version of kfp-pachyderm that "
            "compiled the pipeline in the step's image"
        ) from error


def _snapshot(data: dict[str, Any]) -> SnapshotConfig:
    ahead = tuple(AheadConfig(**{**one, "step": _step(one["step"])}) for one in data.pop("ahead", ()))
    for name in ("lists", "optional", "elements"):
        data[name] = tuple(data.get(name, ()))
    return SnapshotConfig(ahead=ahead, **data)


def _step(data: dict[str, Any]) -> StepConfig:
    inputs = tuple(InputConfig(**one) for one in data.pop("inputs", ()))
    for name in ("workload", "private", "command"):
        data[name] = tuple(data.get(name, ()))
    return StepConfig(inputs=inputs, holder=HolderConfig(**data.pop("holder", {})), **data)


_READERS: dict[str, Callable[[dict[str, Any]], Config]] = {
    "step": _step,
    "snapshot": _snapshot,
    "reusable": lambda data: ReusableConfig(**data),
}
