"""A test kit for operations of one's own: what docs/custom-operations.md promises, with servers or without.

With pytest::

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_operation_keeps_the_promises(check):
        require(check, MyOperation(), CASE)
"""

from extensions.testing.conformance import CHECKS, Check, require
from extensions.testing.memory import MemoryElasticsearch
from extensions.testing.queries import UnknownQueryError
from extensions.testing.stores import MemoryStore, ServerStore
from extensions.testing.trial import Case, Trial

__all__ = [
    "CHECKS",
    "Case",
    "Check",
    "MemoryElasticsearch",
    "MemoryStore",
    "ServerStore",
    "Trial",
    "UnknownQueryError",
    "require",
]
