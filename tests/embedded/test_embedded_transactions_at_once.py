"""Calls of one transaction that come at once: none is lost, and nothing runs twice.

Source of the answers: Pachyderm src/server/transaction/server/driver.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from embedded_between import Between
from pachyderm_sdk.api import pfs, transaction

from kfp_pachyderm.embedded.services.transactions import TransactionService
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import repos
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store


class Racing:
    """A started transaction, and what another client does between the steps of a call."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.between = Between(store, monkeypatch)
        self.service = TransactionService(store, {"create_repo": _create_repo})
        self.made = self.call("StartTransaction", transaction.StartTransactionRequest())

    def call(self, name: str, request: Any) -> Any:
        return self.service.calls()[name].function(request, None)  # type: ignore[arg-type]

    def join(self, repo: str) -> None:
        request = pfs.CreateRepoRequest(repo=pfs.Repo(name=repo))
        self.service.join(self.made.id, transaction.TransactionRequest(create_repo=request))

    def finish(self) -> transaction.TransactionInfo:
        found: transaction.TransactionInfo = self.call(
            "FinishTransaction", transaction.FinishTransactionRequest(transaction=self.made)
        )
        return found

    def delete(self) -> None:
        self.call("DeleteTransaction", transaction.DeleteTransactionRequest(transaction=self.made))

    def repos(self) -> list[str]:
        return sorted(one.key.name for one in repos.list_repos(self.store.read()))

    def stored(self) -> list[str]:
        request = transaction.InspectTransactionRequest(transaction=self.made)
        return names(self.call("InspectTransaction", request))


def _create_repo(txn: Txn, request: pfs.CreateRepoRequest) -> None:
    repos.create_repo(txn, RepoKey("default", request.repo.name))


def names(info: transaction.TransactionInfo) -> list[str]:
    assert len(info.responses) == len(info.requests)
    return [one.create_repo.repo.name for one in info.requests]


@pytest.fixture
def racing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Racing]:
    with Store(tmp_path) as store:
        yield Racing(store, monkeypatch)


def gone(racing: Racing) -> str:
    return f"transactions {racing.made.id} not found"


def test_a_call_that_joins_beside_another_is_tried_again_behind_it(racing: Racing) -> None:
    racing.join("first")
    racing.between.once("after_dry_runs", lambda: racing.join("other"))
    racing.join("mine")
    assert racing.stored() == ["first", "other", "mine"]
    assert names(racing.finish()) == ["first", "other", "mine"]
    assert racing.repos() == ["first", "mine", "other"]


def test_a_call_that_the_other_one_makes_impossible_is_refused_and_not_kept(racing: Racing) -> None:
    racing.between.once("after_dry_runs", lambda: racing.join("taken"))
    with pytest.raises(Refused, match="error running request 2 of 2"):
        racing.join("taken")
    assert racing.stored() == ["taken"]


def test_a_call_is_tried_ten_times(racing: Racing) -> None:
    others = iter(f"other{number}" for number in range(20))
    racing.between.after_dry_runs = lambda: racing.join(next(others))
    with pytest.raises(Refused) as error:
        racing.join("mine")
    assert error.value.code == "UNKNOWN"
    assert error.value.text == "transaction could not be modified due to concurrent modifications"
    assert racing.between.dry_runs == 10
    assert racing.stored() == [f"other{number}" for number in range(10)]


@pytest.mark.parametrize("end", [Racing.finish, Racing.delete])
def test_a_call_that_joins_a_transaction_which_ends_meanwhile_is_told(
    racing: Racing, end: Callable[[Racing], Any]
) -> None:
    racing.between.once("after_dry_runs", lambda: end(racing))
    with pytest.raises(Refused) as error:
        racing.join("mine")
    assert (error.value.code, error.value.text) == ("NOT_FOUND", gone(racing))
    assert racing.repos() == []


def test_a_finish_runs_what_joined_just_before_it(racing: Racing) -> None:
    racing.join("first")
    racing.between.once("before_writes", lambda: racing.join("late"))
    assert names(racing.finish()) == ["first", "late"]
    assert racing.repos() == ["first", "late"]


@pytest.mark.parametrize("second", [Racing.finish, Racing.delete])
@pytest.mark.parametrize("first", [Racing.finish, Racing.delete])
def test_a_transaction_ends_once(
    racing: Racing, first: Callable[[Racing], Any], second: Callable[[Racing], Any]
) -> None:
    racing.between.once("before_writes", lambda: first(racing))
    with pytest.raises(Refused) as error:
        second(racing)
    assert (error.value.code, error.value.text) == ("NOT_FOUND", gone(racing))
