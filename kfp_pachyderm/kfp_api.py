"""`kfp.Client` with a deadline for each request, and errors that tell whether KFP may have carried it out."""

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

#: Seconds within which a connection to KFP must open, and within which KFP must answer.
CONNECT, ANSWER = 10.0, 20.0
#: HTTP status codes of a proxy in front of KFP after which KFP may still carry the request out. KFP itself
#: answers 503 when Kubernetes times out (backend/src/apiserver/resource/resource_manager.go, CreateRun).
_MAYBE = (408, 502, 503, 504)


class _Client(kfp.Client):  # type: ignore[misc]
    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """Makes the constructor's request, once and with a deadline; kfp repeats it for half a minute."""
        api = self._healthz_api.api_client
        call = api.call_api

        def patient(*args: Any, **options: Any) -> Any:
            return call(*args, **{**options, "_request_timeout": (CONNECT, ANSWER)})

        api.call_api = patient
        return self._healthz_api.healthz_service_get_healthz()


def connect(host: str | None) -> Any:
    """Returns a `kfp.Client` whose requests have a deadline.

    `kfp.Client` finds its credentials itself, with one exception. If `KF_PIPELINES_SA_TOKEN_PATH` names a
    file with a token, the client sends that token also to a KFP that `host` or `KF_PIPELINES_ENDPOINT` names,
    and reads the file for each request.

    Args:
        host: the URL of KFP's API; None: as `kfp.Client` finds it.

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
    """Turns the errors of a request to KFP into KfpApiError, and hides what kfp prints.

    Args:
        what: the request, for the message.

    Raises:
        KfpApiError: the request failed; the message has the request and KFP's answer.
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
    """Returns the message in KFP's answer (grpc-gateway: code, message, details)."""
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
    # urllib3's text begins with the connection's repr, whose memory address differs each time.
    return str(getattr(error, "reason", error)).rpartition(">: ")[2]
