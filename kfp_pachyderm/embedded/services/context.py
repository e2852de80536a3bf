"""What every service needs: the store, and whether a call joins a transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pachyderm_sdk.api import transaction

from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store

T = TypeVar("T")


def transaction_id(context: Context) -> str:
    """The ID of the client's Pachyderm transaction; "": none."""
    return next((str(value) for key, value in context.invocation_metadata() if key == "pach-transaction"), "")


@dataclass
class Joining:
    """Runs a call at once, or appends it to the client's Pachyderm transaction.

    Args:
        store: the store.
        join: appends a request to a transaction and returns its response; None: every call runs at once.
    """

    store: Store
    join: Callable[[str, transaction.TransactionRequest], transaction.TransactionResponse] | None = None

    def run(
        self,
        context: Context,
        request: transaction.TransactionRequest,
        direct: Callable[[Txn], T],
    ) -> T | transaction.TransactionResponse:
        """Runs `direct` in a write transaction of its own, or appends `request` to the client's."""
        joined = transaction_id(context)
        if joined and self.join is not None:
            return self.join(joined, request)
        with self.store.database.write() as txn:
            return direct(txn)


def alive(context: Context, store: Store) -> Callable[[], bool]:
    """Returns what tells whether the client still waits; the call's end wakes `Database.wait`."""
    context.add_callback(store.database.wake)
    return context.is_active
