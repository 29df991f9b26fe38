"""An empty store, open for writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from harness.store.facade import Store, Transaction


@pytest.fixture
def writing(tmp_path) -> Iterator[Transaction]:
    with closing(Store(tmp_path)) as store, store.write() as transaction:
        yield transaction
