"""Calls in which Pachyderm loses the caller's token: with auth on it refuses them, though the token is good.

pachd's servers call each other over gRPC, by a client whose own context (`pachClient.Ctx()`) hands the
caller's token on (src/internal/client/client.go, AddMetadata). Where the request's bare context is passed
instead, the inner call comes without a token. Every use of `GetPachClient`, of a client with a context beside
it, and of a background context in src/server and src/internal of 2.12 (7ed6c9f7b9) was read.

These inner calls come without a token:

- ListCommitSet inside of pps ListJob with `input_commit`, once for each job that is looked at
  (src/server/pps/server/api_server.go:669, intersectCommitSets). The embedded Pachyderm refuses it, too.
- pjs ListQueue when a pachw starts (src/internal/pachd/pachw.go:68, attemptPJSAuth). The lost token is
  pachw's own, so no client's call is refused. The embedded Pachyderm has no pachw.

These are right, although their context looks bare: debug DumpV2 (its tasks run in the client's context,
src/server/debug/server/server.go:673), pachd's web file server (src/internal/fileserver/fileserver.go:88),
the worker's cache (src/server/cmd/worker/main.go:93), CreateDatum and ListDatum of an input (the token is in
the task, src/server/worker/datum/create.go:436), the S3 gateway (its access key, src/server/pfs/s3/s3.go:62).
The servers of pfs, auth, transaction and metadata make no gRPC calls of their own.
"""

from __future__ import annotations

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.status import Refused


def refuse_row() -> None:
    """Refuses a row of a list, if auth is on: the row's inner call comes without the caller's token.

    Raises:
        Refused: auth is on. The wrapping text is of src/internal/collection/postgres_collection.go:467.
    """
    if guard.caller() is not None:
        inner = state.NO_TOKEN
        raise Refused(
            f"apply function to list row element: rpc error: code = Unauthenticated desc = {inner.text}",
            inner.code,
        )
