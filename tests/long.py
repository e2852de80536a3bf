"""What `make test` leaves out, so that it stays well under half an hour; `make test-all` runs it."""

from __future__ import annotations

import os

import pytest

ALL = bool(os.environ.get("KFP_PACHYDERM_TEST_ALL"))

#: Of tests that take long and whose kind `make test` has by another one.
long = pytest.mark.skipif(not ALL, reason="takes long; make test-all")
