"""The test kit for operations of one's own: those that we have keep its promises, and it finds out one that does not."""

from __future__ import annotations

import pytest

from extensions.testing import CHECKS, Check, require
from tests.own_operations import OPERATIONS


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_our_operations_keep_their_promises(name: str, check: Check) -> None:
    require(check, *OPERATIONS[name])
