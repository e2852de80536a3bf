"""Marks tests that `make test` leaves out to stay well under half an hour; `make test-all` runs them."""

from __future__ import annotations

import os

import pytest

ALL = bool(os.environ.get("KFP_PACHYDERM_TEST_ALL"))

#: Marks a test that takes long, while a shorter test in `make test` covers the same.
long = pytest.mark.skipif(not ALL, reason="takes long; make test-all")
