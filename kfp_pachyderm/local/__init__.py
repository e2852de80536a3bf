"""`init`: a Pachyderm, embedded or real, and KFP's local runner, for the pipelines that a cluster runs."""

from __future__ import annotations

import atexit
import inspect
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pachyderm_sdk

    from kfp_pachyderm.embedded.process import EmbeddedProcess
    from kfp_pachyderm.forward.forwarder import Forwarder
    from kfp_pachyderm.pachd.connection.address import Address

#: The data folder unless another one is named.
DEFAULT_DATA_DIR = ".pachyderm"


class LocalPachyderm:
    """The Pachyderm that the steps of this process use; a context manager that closes it.

    Args:
        data_dir: folder of the embedded one's data, and of KFP's outputs.
        where: its address.
        server: what ends with it: the embedded Pachyderm, or the port-forward to a real one.
        variables: more of the environment of the steps.
    """

    def __init__(
        self,
        data_dir: Path,
        where: Address,
        server: EmbeddedProcess | Forwarder | None,
        **variables: str,
    ) -> None:
        from kfp_pachyderm.local.real_pachyderm import sdk_client

        self._server = server
        self.data_dir = data_dir
        #: pachd's address, "grpc://127.0.0.1:<port>" of the embedded one.
        self.address: str = where.url
        #: Pachyderm's own client, connected.
        self.client: pachyderm_sdk.Client = sdk_client(where)
        self.closed = False
        self._replaced = _set_environment(
            **{
                # The launcher's environment comes before the address that a pipeline's author wrote.
                "KFP_PACHYDERM_ADDRESS": where.url,
                # Steps find the launcher where this process found it, whatever Python KFP runs them with.
                "KFP_PACHYDERM_PYTHON": sys.executable,
                **variables,
            }
        )

    def __enter__(self) -> LocalPachyderm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Puts the environment back; ends the port-forward, and the server, unless that ran before."""
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        _restore_environment(self._replaced)
        if self._server is not None:
            self._server.close()

    def environment_before(self) -> dict[str, str]:
        """The environment as it was, while this one is open."""
        replaced = {} if self.closed else self._replaced
        return {name: value for name, value in {**os.environ, **replaced}.items() if value is not None}


@dataclass(frozen=True)
class _Wanted:
    """Which Pachyderm: embedded on the folder, or the real one at the address."""

    folder: Path
    where: Address | None = None
    port_forward: bool = False


_current: tuple[_Wanted, LocalPachyderm] | None = None


def init(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    address: str | None = None,
    token: str | None = None,
    port_forward: bool = False,
    **kfp_local_options: Any,
) -> LocalPachyderm:
    """Makes `kfp.local` ready for steps with an embedded Pachyderm, which it starts, or with a real one.

    Then call components and pipelines to run them. A real Pachyderm is meant by an address, a token or
    `port_forward`; also where neither they nor a folder are given and the environment has a default: the
    variable KFP_PACHYDERM_ADDRESS, or the namespace's ConfigMap mounted at /kfp-pachyderm/ca (a line says
    so). The steps run as processes here and work on its data; jobs, pipelines and commits are made as by
    steps in the cluster.

    Called again for the same, it takes the new options and returns the same object; for another, it closes
    the one before: the steps of a process use one Pachyderm. At the end of the process it is closed by
    itself.

    Args:
        data_dir: folder of the embedded one's data and of KFP's outputs; None: `./.pachyderm`. A server that
            runs there already is joined.
        address: pachd's, for example "grpc://pachd.pachyderm:30650"; None: KFP_PACHYDERM_ADDRESS, else the
            mounted default, else, for a real one, this very address.
        token: Pachyderm's auth token; None: KFP_PACHYDERM_TOKEN, else the file /kfp-pachyderm/auth/token, for
            the default's own address only.
        port_forward: reaches pachd, holders and sidecars through the Kubernetes API, with the user's
            kubeconfig, for a process outside of the cluster; needs `kfp-pachyderm[cluster]`.
        **kfp_local_options: as `kfp.local.init` takes them; unless given, the runner is
            `SubprocessRunner(use_venv=False)`, and outputs lie in `<data_dir>/kfp`.

    Returns:
        The Pachyderm: `.address`, `.client`, `.close()`.

    Raises:
        StoreError: the folder can't be used.
        PachydermUnreachableError: the server did not start in time, or nobody answers at the address.
        AuthenticationError: Pachyderm, or Kubernetes with `port_forward`, refuses.
        CertificateError: TLS fails.
        NotFoundError: no such service in the cluster.
        PermanentError: `port_forward` without the package `kubernetes` or a kubeconfig.
    """
    global _current
    folder = Path(data_dir if data_dir is not None else DEFAULT_DATA_DIR).expanduser().absolute()
    wanted = _wanted(folder, data_dir is not None, address, token, port_forward)
    if _current is None or _current[1].closed or _current[0] != wanted:
        if _current is not None:
            _current[1].close()
        _current = wanted, _open(wanted)
    _init_kfp(folder, kfp_local_options)
    return _current[1]


def _wanted(folder: Path, named: bool, address: str | None, token: str | None, port_forward: bool) -> _Wanted:
    from kfp_pachyderm.local import real_pachyderm

    before = _current[1].environment_before() if _current else dict(os.environ)
    if address is None and token is None and not port_forward:
        default = real_pachyderm.default_address(before)
        if named or not default:
            return _Wanted(folder)
        print(f"[kfp-pachyderm] steps run on the Pachyderm at {default}, this environment's default")
    return _Wanted(folder, real_pachyderm.find(address, token, before), port_forward)


def _open(wanted: _Wanted) -> LocalPachyderm:
    opened = (
        _open_real(wanted.folder, wanted.where, wanted.port_forward)
        if wanted.where
        else _open_embedded(wanted.folder)
    )
    atexit.register(opened.close)
    return opened


def _open_embedded(folder: Path) -> LocalPachyderm:
    from kfp_pachyderm.embedded.process import start
    from kfp_pachyderm.pachd.connection.address import parse

    server = start(folder)
    return LocalPachyderm(folder, parse(server.address), server)


def _open_real(folder: Path, where: Address, port_forward: bool) -> LocalPachyderm:
    from kfp_pachyderm.local import real_pachyderm
    from kfp_pachyderm.pachd.connection.port_forward import VARIABLE

    with ExitStack() as stack:
        forwarder = None
        if port_forward:
            where, forwarder = real_pachyderm.forward(where)
            stack.callback(forwarder.close)
        real_pachyderm.check(where)
        variables = real_pachyderm.variables(where, os.environ)
        variables[VARIABLE] = forwarder.variable if forwarder else ""
        opened = LocalPachyderm(folder, where, forwarder, **variables)
        stack.pop_all()
        return opened


def _init_kfp(folder: Path, options: dict[str, Any]) -> None:
    from kfp import local

    from kfp_pachyderm.local.kfp_loops import repair_loops

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
