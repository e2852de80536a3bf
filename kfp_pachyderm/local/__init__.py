"""`init`: prepares kfp.local to run the pipelines of a cluster here, on an embedded or a real Pachyderm."""

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

#: The data folder that `init` takes by default.
DEFAULT_DATA_DIR = ".pachyderm"


class LocalPachyderm:
    """The Pachyderm that the steps of this process use; `init` returns it. A context manager that closes it.

    Args:
        data_dir: the folder of KFP's outputs, and of the embedded Pachyderm's data.
        where: pachd's address.
        server: the embedded Pachyderm, or the port-forward to a real one, which `close` ends; None: neither.
        **variables: further environment variables of the steps.

    Attributes:
        data_dir: the folder, as an absolute path.
        address: pachd's address, as in "grpc://127.0.0.1:<port>" for the embedded Pachyderm.
        client: a connected `pachyderm_sdk.Client`.
        closed: whether `close` has been called.
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
        self.address: str = where.url
        self.client: pachyderm_sdk.Client = sdk_client(where)
        self.closed = False
        self._replaced = _set_environment(
            **{
                # This variable takes precedence over the address that a pipeline's author wrote.
                "KFP_PACHYDERM_ADDRESS": where.url,
                # Steps run the launcher by this Python, since kfp.local may run them with another one.
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
        """Restores the environment variables, and ends the port-forward and the embedded server.

        A server that ran before `init` joined it goes on. A second call does nothing.
        """
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        _restore_environment(self._replaced)
        if self._server is not None:
            self._server.close()

    def environment_before(self) -> dict[str, str]:
        """Returns the environment without the variables that this object has set."""
        replaced = {} if self.closed else self._replaced
        return {name: value for name, value in {**os.environ, **replaced}.items() if value is not None}


@dataclass(frozen=True)
class _Wanted:
    """Which Pachyderm `init` is asked for: the real one at `where`, or the embedded one on the folder."""

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
    """Prepares `kfp.local` to run steps on a Pachyderm: an embedded one, which it starts, or a real one.

    Then call components and pipelines to run them. The steps run as processes on this machine. They make
    jobs, pipelines and commits in that Pachyderm, as steps in a cluster do.

    `init` uses a real Pachyderm if it gets an address, a token or `port_forward`. Without these and without
    `data_dir`, it uses a real Pachyderm if the environment names one: by the variable KFP_PACHYDERM_ADDRESS,
    or by the namespace's ConfigMap, mounted at /kfp-pachyderm/ca. It then prints a line that says so. In all
    other cases it starts the embedded Pachyderm.

    All steps of a process use one Pachyderm. A second call with the same arguments returns the same object
    and applies the new options of `kfp.local`; a call for another Pachyderm closes the one before. The end of
    the process closes it, too.

    Args:
        data_dir: the folder of KFP's outputs and of the embedded Pachyderm's data; None: `./.pachyderm`. If
            an embedded Pachyderm runs on the folder already, `init` joins it.
        address: pachd's address, as in "grpc://pachd.pachyderm:30650"; None: KFP_PACHYDERM_ADDRESS, else
            the mounted ConfigMap's address, else, for a real Pachyderm, grpc://pachd.pachyderm:30650.
        token: Pachyderm's auth token; None: KFP_PACHYDERM_TOKEN, else the file /kfp-pachyderm/auth/token.
            These two are used for the address that the environment names, and for no other one.
        port_forward: whether pachd, holders and sidecars are reached through the Kubernetes API, by the
            user's kubeconfig, from outside of the cluster; needs `kfp-pachyderm[cluster]`.
        **kfp_local_options: arguments of `kfp.local.init`. The default runner is
            `SubprocessRunner(use_venv=False)`, the default `pipeline_root` is `<data_dir>/kfp`.

    Returns:
        The Pachyderm that steps use: `.address`, `.client`, `.close()`.

    Raises:
        StoreError: the folder can't be used.
        PachydermUnreachableError: the server did not start in time, or nobody answers at the address.
        AuthenticationError: Pachyderm refuses the token, or Kubernetes refuses the port-forward.
        CertificateError: TLS fails.
        NotFoundError: with `port_forward`, the cluster has no such service, or no pod behind it.
        PermanentError: with `port_forward`, the package `kubernetes` or a kubeconfig is missing, or the
            address is not a service's.
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
        # KFP's default is a folder in /tmp that nobody deletes.
        defaults["workspace_root"] = str(folder / "kfp-workspace")
    local.init(**{**defaults, **options})


def _set_environment(**variables: str) -> dict[str, str | None]:
    """Sets environment variables, and returns their values before; None: not set."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    return before


def _restore_environment(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
