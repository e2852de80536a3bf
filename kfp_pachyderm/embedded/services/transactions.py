"""transaction_v2.API: a transaction collects calls, tries each as it comes, and runs all when it is finished.

Source: Pachyderm src/server/transaction/server/driver.go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from pachyderm_sdk.api import transaction

from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id, now
from kfp_pachyderm.embedded.store.store import Store

#: Field of TransactionRequest → the function that carries it out.
Operations = dict[str, Callable[[Txn, Any], Any]]

#: How often a call is tried again because others joined the same transaction meanwhile (updateTransaction).
_TRIES = 10


def _get(db: sqlite3.Connection, transaction_id: str) -> transaction.TransactionInfo:
    row = db.execute("SELECT info FROM transactions WHERE id = ?", (transaction_id,)).fetchone()
    if row is None:
        raise not_found(f"transactions {transaction_id} not found")
    return transaction.TransactionInfo().parse(row[0])


class TransactionService:
    """Transactions.

    Args:
        store: the store.
        operations: the calls that may be in a transaction.
    """

    def __init__(self, store: Store, operations: Operations) -> None:
        self._store = store
        self._operations = operations

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary = handlers.unary
        return {
            "StartTransaction": unary(self._start, transaction.StartTransactionRequest),
            "FinishTransaction": unary(self._finish, transaction.FinishTransactionRequest),
            "BatchTransaction": unary(self._batch, transaction.BatchTransactionRequest),
            "DeleteTransaction": unary(self._delete, transaction.DeleteTransactionRequest),
            "InspectTransaction": unary(self._inspect, transaction.InspectTransactionRequest),
            "ListTransaction": unary(self._list, transaction.ListTransactionRequest),
            "DeleteAll": unary(self._delete_all, transaction.DeleteAllRequest),
        }

    def join(
        self, transaction_id: str, request: transaction.TransactionRequest
    ) -> transaction.TransactionResponse:
        """Tries a request behind those of the transaction, appends it, and returns its response."""
        for _ in range(_TRIES):
            info = self._tried(transaction_id, request)
            if self._kept(info):
                return info.responses[-1]
        raise Refused("transaction could not be modified due to concurrent modifications")

    def _tried(
        self, transaction_id: str, request: transaction.TransactionRequest
    ) -> transaction.TransactionInfo:
        with self._store.database.write(transaction_id, dry_run=True) as txn:
            info = _get(txn.db, transaction_id)
            info.requests = [*info.requests, request]
            info.responses = self._run(txn, info)
            # pachd's dry run ends as a real one (src/internal/transactionenv/env.go, attemptTx).
            self._store.database.run_hooks(txn)
        return info

    def _kept(self, info: transaction.TransactionInfo) -> bool:
        """Stores what was tried, unless the transaction was changed meanwhile."""
        made = info.transaction.id
        # A client's transaction is over when its connection is: nobody asks for it after a power cut.
        with self._store.database.write(durable=False) as txn:
            if _get(txn.db, made).version != info.version:
                return False
            info.version += 1
            txn.db.execute("UPDATE transactions SET info = ? WHERE id = ?", (bytes(info), made))
        return True

    def _run(self, txn: Txn, info: transaction.TransactionInfo) -> list[transaction.TransactionResponse]:
        responses = []
        for at, request in enumerate(info.requests):
            try:
                responses.append(self._run_one(txn, request))
            except Refused as error:
                text = f"error running request {at + 1} of {len(info.requests)}: {error.text}"
                raise Refused(text, error.code) from error
        return responses

    def _run_one(self, txn: Txn, request: transaction.TransactionRequest) -> transaction.TransactionResponse:
        for name, operation in self._operations.items():
            if has(request, name):
                answer = operation(txn, getattr(request, name))
                if name == "start_commit":
                    return transaction.TransactionResponse(commit=answer)
                return transaction.TransactionResponse()
        raise Refused("unrecognized transaction request type")

    def _start(self, _: Any, __: Context) -> transaction.Transaction:
        made, started = transaction.Transaction(id=new_id()), now()
        info = transaction.TransactionInfo(transaction=made, started=messages.timestamp(started))
        with self._store.database.write() as txn:
            txn.db.execute("INSERT INTO transactions VALUES (?, ?, ?)", (made.id, started, bytes(info)))
        return made

    def _finish(
        self, request: transaction.FinishTransactionRequest, _: Context
    ) -> transaction.TransactionInfo:
        with self._store.database.write(request.transaction.id) as txn:
            info = _get(txn.db, request.transaction.id)
            info.responses = self._run(txn, info)
            txn.db.execute("DELETE FROM transactions WHERE id = ?", (info.transaction.id,))
        return info

    def _batch(self, request: transaction.BatchTransactionRequest, _: Context) -> transaction.TransactionInfo:
        info = transaction.TransactionInfo(
            transaction=transaction.Transaction(id=new_id()),
            requests=request.requests,
            started=messages.timestamp(now()),
        )
        with self._store.database.write(info.transaction.id) as txn:
            info.responses = self._run(txn, info)
        return info

    def _delete(self, request: transaction.DeleteTransactionRequest, _: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            _get(txn.db, request.transaction.id)
            txn.db.execute("DELETE FROM transactions WHERE id = ?", (request.transaction.id,))
        return handlers.Empty()

    def _inspect(
        self, request: transaction.InspectTransactionRequest, _: Context
    ) -> transaction.TransactionInfo:
        return _get(self._store.read(), request.transaction.id)

    def _list(self, _: Any, __: Context) -> transaction.TransactionInfos:
        rows = self._store.read().execute("SELECT info FROM transactions ORDER BY started").fetchall()
        found = [transaction.TransactionInfo().parse(row[0]) for row in rows]
        return transaction.TransactionInfos(transaction_info=found)

    def _delete_all(self, _: Any, __: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            txn.db.execute("DELETE FROM transactions")
        return handlers.Empty()
