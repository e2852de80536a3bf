"""The record as JSON text in a commit's metadata, with a digest of the text beside it.

Measured on Pachyderm 2.12: keys and values may have any length, as long as the request is below gRPC's 20 MiB
(src/internal/grpcutil). A NUL character is refused: Postgres can't store it, and EditMetadata answers
ABORTED. Each key costs one UPDATE of all the metadata (src/server/metadata/metadata.go), so the record has
two keys: text and digest. InspectCommit and ListCommit always answer all metadata, so the record is kept
small.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kfp_pachyderm.errors import CommitReferenceError
from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.references import Reference, parse
from kfp_pachyderm.provenance.file_list import FileList
from kfp_pachyderm.provenance.kfp_task import FAILURE_KEY, PREFIX, KfpTask
from kfp_pachyderm.provenance.record import Artifact, Code, Hashed, Interface, Source, StepRecord, given

RECORD_KEY, DIGEST_KEY = PREFIX + "record", PREFIX + "record-digest"
VERSION = 1
#: Bytes of JSON that one parameter, all parameters, the command, and the settings may take. Linux takes no
#: argument above 128 KiB (MAX_ARG_STRLEN), and a component's function is one argument: it is kept whole.
ONE_VALUE, ALL_VALUES, COMMAND, SETTINGS = 4 * 2**10, 24 * 2**10, 128 * 2**10, 16 * 2**10
#: What parsing a record that somebody has edited may raise.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Stored:
    """The record in a commit's metadata.

    Args:
        record: the record. Without a text, or with one that can't be read, it has what the other metadata
            keys say.
        digest: the digest in the metadata; "": there is none.
        actual: the digest of the text; "": there is no text (an older release wrote none).
        problem: why the text can't be read; "": it can, or there is none.
    """

    record: StepRecord
    digest: str = ""
    actual: str = ""
    problem: str = ""

    @property
    def is_edited(self) -> bool:
        """Whether the metadata's digest is not the text's digest."""
        return self.digest != self.actual


def entries(record: StepRecord) -> dict[str, str]:
    """The two metadata entries, text and digest, that a step writes on its output commit."""
    text = _dumps(_data(record))
    return {RECORD_KEY: text, DIGEST_KEY: digest(text)}


def read(commit: Reference, metadata: Mapping[str, str]) -> Stored | None:
    """The record in a commit's metadata; None: no step of kfp-pachyderm made the commit.

    Args:
        commit: the commit.
        metadata: all metadata of the commit.
    """
    text, said = metadata.get(RECORD_KEY), metadata.get(DIGEST_KEY, "")
    older = _older(commit, metadata)
    if text is None:
        return Stored(older, said) if said or older.task.task else None
    actual = digest(text)
    try:
        return Stored(_record(json.loads(text)), said, actual)
    except (*_UNREADABLE, CommitReferenceError) as error:
        return Stored(older, said, actual, f"{type(error).__name__}: {error}")


def digest(text: str) -> str:
    """The SHA-256 of a text, as records write it."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def bounded(code: Code) -> Code:
    """The code with digests in place of what is too large for a record.

    Parameters above `ONE_VALUE` are replaced, then the longest ones until the others fit into `ALL_VALUES`.
    A command above `COMMAND` is replaced. Settings above `SETTINGS` are left out.
    """
    parameters = {name: _plain(value) for name, value in code.parameters.items()}
    sizes = {name: len(_dumps(value)) for name, value in parameters.items()}
    room = ALL_VALUES
    for name in sorted(sizes, key=lambda one: (sizes[one], one)):
        room -= sizes[name]
        if sizes[name] > ONE_VALUE or room < 0:
            parameters[name] = hashed(parameters[name])
    if len(_dumps(code.settings)) > SETTINGS:
        code = replace(code, settings={})
    if len(_dumps(code.command)) <= COMMAND:
        return replace(code, parameters=parameters)
    return replace(code, parameters=parameters, command=(), command_hash=hashed(code.command))


def hashed(value: Any) -> Hashed:
    """Digest and size of a value; a `Hashed` is returned as it is."""
    if isinstance(value, Hashed):
        return value
    text = _dumps(value)
    return Hashed(digest(text), len(text))


def _plain(value: Any) -> Any:
    """The value with NaN and infinities as texts, as KFP's backend writes them: JSON has no such numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _dumps(value: Any) -> str:
    # ASCII escapes what databases refuse and terminals obey: NUL, lone surrogates, control characters
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _data(record: StepRecord) -> dict[str, Any]:
    code = record.code
    large = {name: one for name, one in code.parameters.items() if isinstance(one, Hashed)}
    every = {
        "task": _known(asdict(record.task)),
        "project": record.project,
        "pipeline": record.pipeline,
        "pipeline_version": record.version,
        "sibling_of": record.sibling_of,
        "job": record.job,
        "state": record.state,
        "reason": record.reason,
        "inputs": {name: str(one) for name, one in record.inputs.items()},
        "output": str(record.output),
        "sidecar": record.sidecar,
        "started": record.started,
        "finished": record.finished,
        "duration": record.duration,
        "size": record.size,
        "objects": record.objects,
        "command": list(code.command),
        "command_hash": asdict(code.command_hash) if code.command_hash else None,
        "parameters": {name: one for name, one in code.parameters.items() if name not in large},
        "large_parameters": {name: asdict(one) for name, one in large.items()},
        "private_parameters": list(code.private),
        "kfp": code.kfp,
        "source": asdict(code.source) if code.source else None,
        "settings": code.settings,
        "outputs": list(code.interface.outputs),
        "artifacts_made": {name: asdict(one) for name, one in code.interface.made.items()},
        "artifacts_given": {name: [*map(asdict, every)] for name, every in code.interface.given.items()},
        "files": _files(record.files) if record.files else None,
    }
    return {"version": VERSION, **_known(every)}


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in values.items() if one not in (None, "", [], {})}


def _files(files: FileList) -> dict[str, Any]:
    listed = None if files.listed is None else [[one.path, one.size, one.hash] for one in files.listed]
    return {"digest": files.digest, "count": files.count, "size": files.size, "listed": listed}


def _record(data: dict[str, Any]) -> StepRecord:
    if data["version"] != VERSION:
        raise ValueError(f"the record has version {data['version']!r}, this release reads {VERSION}")
    project = _text(data, "project")
    return StepRecord(
        # fields that a later release adds to a task are ignored
        task=KfpTask(**{one.name: _text(data["task"], one.name) for one in fields(KfpTask)}),
        project=project,
        pipeline=_text(data, "pipeline"),
        version=int(_number(data, "pipeline_version")),
        job=_text(data, "job"),
        state=_text(data, "state"),
        inputs={name: parse(one, project) for name, one in data.get("inputs", {}).items()},
        output=parse(data["output"], project),
        sidecar=_text(data, "sidecar"),
        started=_text(data, "started"),
        finished=_text(data, "finished"),
        duration=_number(data, "duration"),
        size=int(_number(data, "size")),
        objects=int(_number(data, "objects")) if "objects" in data else None,
        code=_code(data),
        files=_file_list(data["files"]) if "files" in data else None,
        reason=_text(data, "reason"),
        sibling_of=_text(data, "sibling_of"),
    )


def _code(data: dict[str, Any]) -> Code:
    large = {name: _read_hash(one) for name, one in data.get("large_parameters", {}).items()}
    source = data.get("source")
    return Code(
        command=_texts(data, "command"),
        # those of KFP's own stand in records that older releases wrote
        parameters=given({**data.get("parameters", {}), **large}),
        private=_texts(data, "private_parameters"),
        command_hash=_read_hash(data["command_hash"]) if "command_hash" in data else None,
        kfp=_text(data, "kfp"),
        source=Source(_text(source, "commit"), source.get("dirty"), _text(source, "file"))
        if source
        else None,
        settings=dict(data.get("settings", {})),
        interface=_interface(data),
    )


def _interface(data: dict[str, Any]) -> Interface:
    made, passed = data.get("artifacts_made", {}), data.get("artifacts_given", {})
    return Interface(
        _texts(data, "outputs"),
        {name: _artifact(one) for name, one in made.items()},
        {name: tuple(map(_artifact, every)) for name, every in passed.items()},
    )


def _artifact(data: dict[str, Any]) -> Artifact:
    return Artifact(_text(data, "type"), _text(data, "uri"))


def _file_list(data: dict[str, Any]) -> FileList:
    listed = None
    if data.get("listed") is not None:
        listed = tuple(FileEntry(str(path), int(size), str(hash_)) for path, size, hash_ in data["listed"])
    return FileList(_text(data, "digest"), int(_number(data, "count")), int(_number(data, "size")), listed)


def _read_hash(data: dict[str, Any]) -> Hashed:
    return Hashed(_text(data, "digest"), int(_number(data, "size")))


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not a text")
    return value


def _texts(data: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(one) for one in data.get(name, ()))


def _number(data: dict[str, Any], name: str) -> float:
    value = data.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {type(value).__name__}, not a number")
    return value


def _older(commit: Reference, metadata: Mapping[str, str]) -> StepRecord:
    """The record of a commit whose metadata has the task's keys alone: older releases wrote no more."""
    spelled = {"digest": "component-digest", "package": "version"}
    said = {one.name: metadata.get(PREFIX + spelled.get(one.name, one.name), "") for one in fields(KfpTask)}
    return StepRecord(
        task=KfpTask(**said),
        project=commit.project,
        output=commit,
        pipeline=commit.repo,
        job=commit.version,
        reason=metadata.get(FAILURE_KEY, ""),
    )
