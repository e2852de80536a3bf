"""Where Pachyderm loses the caller's token on the way: with auth on, a call with a good token is refused.

pachd's servers call each other over gRPC, by a client whose own context (`pachClient.Ctx()`) hands the
caller's token on (src/internal/client/client.go, AddMetadata). Where the request's bare context is passed
instead, the inner call comes without a token. Every use of `GetPachClient`, of a client with a context beside
it, and of a background context in src/server and src/internal of 2.12 (7ed6c9f7b9) was read.

Without a token comes

- ListCommitSet inside of pps ListJob with `input_commit`, once for each job that is looked at
  (src/server/pps/server/api_server.go:669, intersectCommitSets): refused here alike;
- pjs ListQueue when a pachw starts (src/internal/pachd/pachw.go:68, attemptPJSAuth): the token that is lost
  is its own, nobody's call; there is no pachw here.

Right, although the context looks bare: debug DumpV2 (its tasks run in the client's context,
src/server/debug/server/server.go:673), pachd's web file server (src/internal/fileserver/fileserver.go:88),
the worker's cache (src/server/cmd/worker/main.go:93), CreateDatum and ListDatum of an input (the token is in
the task, src/server/worker/datum/create.go:436), the S3 gateway (its access key, src/server/pfs/s3/s3.go:62).
The servers of pfs, auth, transaction and metadata make no gRPC calls of their own.
"""

from __future__ import annotations

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.status import Refused


def refuse_row() -> None:
    """Called for each row of a list whose inner call comes without the caller's token.

    Raises:
        Refused: auth is on. The wrapping text is of src/internal/collection/postgres_collection.go:467.
    """
    if guard.caller() is not None:
        inner = state.NO_TOKEN
        raise Refused(
            f"apply function to list row element: rpc error: code = Unauthenticated desc = {inner.text}",
            inner.code,
        )
