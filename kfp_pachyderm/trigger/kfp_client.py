"""`kfp.Client` with a deadline for every request, and with errors that say whether KFP may have done it."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from typing import Any

import kfp
import kfp_server_api
import urllib3
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from kfp_pachyderm.errors import KfpApiError

#: Seconds for a connection to KFP, and for its answer.
CONNECT, ANSWER = 10.0, 20.0
#: What a proxy in front of KFP says while KFP may still be at work; KFP itself says 503 of Kubernetes'
#: time-outs (backend/src/apiserver/resource/resource_manager.go, CreateRun).
_MAYBE = (408, 502, 503, 504)


class _Client(kfp.Client):  # type: ignore[misc]
    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """The first request of all, made while the client is made; kfp's own tries for half a minute."""
        api = self._healthz_api.api_client
        call = api.call_api

        def patient(*args: Any, **options: Any) -> Any:
            return call(*args, **{**options, "_request_timeout": (CONNECT, ANSWER)})

        api.call_api = patient
        return self._healthz_api.healthz_service_get_healthz()


def connect(host: str | None) -> Any:
    """A `kfp.Client`, whose requests all have a deadline.

    How it shows who it is, is `kfp.Client`'s own matter. A token in a file, which
    `KF_PIPELINES_SA_TOKEN_PATH` names, is shown outside of KFP's own cluster too, and read for each
    request.

    Args:
        host: KFP's address; None: as `kfp.Client` finds it.

    Raises:
        KfpApiError: KFP does not answer.
    """
    outside = host or os.environ.get("KF_PIPELINES_ENDPOINT")
    token = os.environ.get(KF_PIPELINES_SA_TOKEN_ENV)
    credentials = ServiceAccountTokenVolumeCredentials() if outside and token else None
    with warnings.catch_warnings(), asked("healthz"):
        # "This client only works with Kubeflow Pipeline v2.0.0-beta.2 and later"
        warnings.simplefilter("ignore", FutureWarning)
        return _Client(host=host, credentials=credentials)


@contextlib.contextmanager
def asked(what: str) -> Iterator[None]:
    """Turns what a request to KFP may raise into our error; keeps what kfp prints off the output.

    Raises:
        KfpApiError: the request, and KFP's answer.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except kfp_server_api.ApiException as error:
        text = f"KFP, {what}: {_said(error)} (HTTP {error.status})"
        raise KfpApiError(text, maybe_done=error.status in _MAYBE) from error
    except urllib3.exceptions.HTTPError as error:
        text = f"KFP, {what}: no answer: {_plain(error)}; is that its API's address?"
        raise KfpApiError(text, maybe_done=_was_sent(error)) from error
    except OSError as error:
        raise KfpApiError(f"KFP, {what}: {error}", maybe_done=False) from error


def _said(error: Any) -> str:
    """KFP's own words (grpc-gateway: code, message, details)."""
    body = error.body or ""
    if isinstance(body, str) and body.startswith("{"):
        import json

        with contextlib.suppress(ValueError):
            return str(json.loads(body).get("message") or error.reason)
    return str(error.reason)


def _was_sent(error: urllib3.exceptions.HTTPError) -> bool:
    reason = getattr(error, "reason", error)
    unsent = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return not isinstance(reason, unsent)


def _plain(error: urllib3.exceptions.HTTPError) -> str:
    # urllib3 shows the connection as an object at an address of the memory, another one each time
    return str(getattr(error, "reason", error)).rpartition(">: ")[2]
