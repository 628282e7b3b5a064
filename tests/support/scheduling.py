"""In which order a run has its tests, and which of its processes has which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from xdist.scheduler import LoadScopeScheduling

LONGEST = (
    "tests/integration/test_secured_servers.py",
    "tests/integration/test_ingest.py",
    "tests/e2e/test_page_glance.py",
    "tests/e2e/test_page.py",
    "tests/faults/processes/test_servers_killed.py",
    "tests/faults/commands/test_purge.py",
    "tests/integration/api/test_bounds.py",
    "tests/faults/data/test_exports.py",
    "tests/faults/processes/test_restore.py",
    "tests/faults/processes/test_inbox_killed.py",
    "tests/upgrade/test_side_by_side.py",
    "tests/integration/test_inbox_strangers.py",
    "tests/e2e/test_command_line.py",
    "tests/faults/data/test_odd_records.py",
    "tests/faults/commands/test_timers.py",
    "tests/faults/processes/test_workers_come_and_go.py",
    "tests/faults/data/test_write_modes.py",
    "tests/faults/processes/test_frozen_worker.py",
    "tests/faults/commands/test_pause_proof.py",
    "tests/faults/data/test_changed_files.py",
    "tests/e2e/test_first_accident.py",
    "tests/e2e/test_page_columns.py",
    "tests/faults/commands/test_pause.py",
    "tests/faults/commands/test_rollback.py",
    "tests/e2e/test_two_teams.py",
    "tests/integration/test_topics.py",
    "tests/faults/commands/test_error_budget.py",
    "tests/integration/api/test_kafka.py",
    "tests/faults/commands/test_webhooks.py",
    "tests/faults/processes/test_reader_killed.py",
    "tests/faults/commands/test_operations_page.py",
    "tests/e2e/test_third_accident.py",
    "tests/e2e/test_second_accident.py",
    "tests/faults/processes/test_removed_records.py",
)
"""Files that take half a minute or more, the longest first, so that the run does not end with one process at work."""


class FilesInTurn(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Each process takes file after file, in the order of the collection.

    Where there are three processes or more, the last one begins with the unit tests: it uses the time for which tests
    with servers wait. Then it takes its part of those that are left.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        if is_beside(node.workerinput, self.collection):
            file = next(filter(is_unit, self.workqueue), None)
            if file is not None:
                self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)


def turn(nodeid: str) -> tuple[bool, int]:
    """What tests are sorted by: the longest files first, those without servers last."""
    file = nodeid.split("::")[0]
    return is_unit(nodeid), LONGEST.index(file) if file in LONGEST else len(LONGEST)


def is_beside(workerinput: Mapping[str, Any], tests: Collection[str]) -> bool:
    """Whether a process, which has this from xdist, begins with the unit tests, of a run that has others too."""
    if workerinput.get("workercount", 0) < 3 or len({is_unit(test) for test in tests}) < 2:
        return False
    return bool(workerinput["workerid"] == f"gw{workerinput['workercount'] - 1}")


def is_unit(nodeid: str) -> bool:
    return nodeid.startswith("tests/unit/")
