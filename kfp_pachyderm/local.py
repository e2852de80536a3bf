"""`init`: an embedded Pachyderm and KFP's local runner, ready for the same pipelines that a cluster runs."""

from __future__ import annotations

import atexit
import inspect
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pachyderm_sdk

    from kfp_pachyderm.embedded.process import EmbeddedProcess

#: The data folder unless another one is named.
DEFAULT_DATA_DIR = ".pachyderm"


class LocalPachyderm:
    """An embedded Pachyderm that the steps of this process use; a context manager that closes it.

    Args:
        server: the running server.
    """

    def __init__(self, server: EmbeddedProcess) -> None:
        from pachyderm_sdk import Client

        self._server = server
        self.data_dir: Path = server.data_dir
        #: pachd's address, "grpc://127.0.0.1:<port>".
        self.address: str = server.address
        #: Pachyderm's own client, connected.
        self.client: pachyderm_sdk.Client = Client.from_pachd_address(server.address)
        self.closed = False
        self._replaced = _set_environment(
            # The launcher's environment comes before the address that a pipeline's author wrote.
            KFP_PACHYDERM_ADDRESS=server.address,
            # Steps find the launcher where this process found it, whatever interpreter KFP runs them with.
            KFP_PACHYDERM_PYTHON=sys.executable,
        )

    def __enter__(self) -> LocalPachyderm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server, unless it was running before, and puts the environment back."""
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        _restore_environment(self._replaced)
        self._server.close()


_current: LocalPachyderm | None = None


def init(data_dir: str | os.PathLike[str] | None = None, **kfp_local_options: Any) -> LocalPachyderm:
    """Starts an embedded Pachyderm and makes `kfp.local` ready: call components and pipelines to run them.

    Called again with the same folder, it takes the new options and returns the same object; with another
    folder, it closes the one before: the steps of a process use one Pachyderm. At the end of the process it
    is closed by itself.

    Args:
        data_dir: folder of the data; None: `./.pachyderm`. A server that runs there already is joined.
        **kfp_local_options: as `kfp.local.init` takes them; unless given, the runner is
            `SubprocessRunner(use_venv=False)`, and outputs lie in `<data_dir>/kfp`.

    Returns:
        The running Pachyderm: `.address`, `.client`, `.close()`.

    Raises:
        StoreError: the folder can't be used.
        PachydermUnreachableError: the server did not start in time.
    """
    global _current
    folder = Path(data_dir if data_dir is not None else DEFAULT_DATA_DIR).expanduser().absolute()
    if _current is None or _current.closed or _current.data_dir != folder:
        if _current is not None:
            _current.close()
        _current = _open(folder)
    _init_kfp(folder, kfp_local_options)
    return _current


def _open(folder: Path) -> LocalPachyderm:
    from kfp_pachyderm.embedded.process import start

    opened = LocalPachyderm(start(folder))
    atexit.register(opened.close)
    return opened


def _init_kfp(folder: Path, options: dict[str, Any]) -> None:
    from kfp import local

    from kfp_pachyderm.local_loops import repair_loops

    repair_loops()
    defaults: dict[str, Any] = {
        "runner": local.SubprocessRunner(use_venv=False),
        "pipeline_root": str(folder / "kfp"),
    }
    if "workspace_root" in inspect.signature(local.init).parameters:  # not in kfp 2.14
        # Left to KFP it is a folder in /tmp that nobody deletes.
        defaults["workspace_root"] = str(folder / "kfp-workspace")
    local.init(**{**defaults, **options})


def _set_environment(**variables: str) -> dict[str, str | None]:
    """Sets variables; returns what they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    return before


def _restore_environment(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
