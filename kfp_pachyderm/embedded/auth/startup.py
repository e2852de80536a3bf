"""Auth when the server starts: its tables, its place in transactions, the root token."""

from __future__ import annotations

import os
from pathlib import Path

from kfp_pachyderm.embedded.auth import owners, state
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id
from kfp_pachyderm.embedded.store.store import Store

#: Environment variable that sets the root token, as AUTH_ROOT_TOKEN does for pachd; there is no file then.
TOKEN_VARIABLE = "KFP_PACHYDERM_ROOT_TOKEN"  # noqa: S105
#: File with the root token, in the data folder; readable by its owner only.
TOKEN_FILE = "root-token"  # noqa: S105


def prepare(store: Store, wanted: bool) -> None:
    """Makes a store ready for auth, and turns it on if that is wanted.

    Auth that was turned on earlier stays on without being wanted again.

    Args:
        store: the store. Its other hooks are in place already: the one that gives tokens to jobs runs last.
        wanted: turn auth on. The root token is the value of KFP_PACHYDERM_ROOT_TOKEN, else a new one that is
            kept in the data folder.
    """
    query = "SELECT 1 FROM sqlite_master WHERE name = 'auth_project_gone'"
    if store.read().execute(query).fetchone() is None:
        with store.database.write() as txn:
            state.prepare(txn)
    store.database.before_commit.append(owners.give_tokens)
    if wanted:
        with store.database.write() as txn:
            _turn_on(txn, store.folder / TOKEN_FILE)


def _turn_on(txn: Txn, file: Path) -> None:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not state.active(txn.db):
        state.activate(txn, token or _new_token_file(file))
        state.bind_existing(txn)
        owners.bind_existing(txn)
    elif token and not _is_root(txn, token):
        state.revoke_of(txn, state.ROOT)
        state.add_token(txn, state.ROOT, token)
    if token or (file.exists() and not _is_root(txn, file.read_text().strip())):
        # The root token is no longer the file's: the variable or RotateRootToken has replaced it.
        file.unlink(missing_ok=True)


def _new_token_file(file: Path) -> str:
    token = new_id()
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(token + "\n")
    return token


def _is_root(txn: Txn, token: str) -> bool:
    try:
        return state.identify(txn.db, token).name == state.ROOT
    except Refused:
        return False
