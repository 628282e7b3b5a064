"""Which process of a parallel run has which tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.scheduling import FilesInTurn, is_beside, turn

SERVER_FILES = "abcfghijkl"
SERVERS = [f"tests/faults/test_{name}.py::test_{number}" for name in SERVER_FILES for number in range(4)]
UNITS = [f"tests/unit/test_{name}.py::test_{number}" for name in "de" for number in range(4)]


class Node:
    """A process of the run, which does all it is sent at once."""

    def __init__(self, number: int, count: int) -> None:
        self.workerinput = {"workerid": f"gw{number}", "workercount": count}
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.sent: list[int] = []
        self.files: list[str] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def files_of_each(tests: list[str], count: int) -> list[list[str]]:
    """Run it, a test of each process in turn; returns the files of each process, in order."""
    config: Any = SimpleNamespace(
        option=SimpleNamespace(loadscopereorder=False, debug=False, maxschedchunk=None),
        getvalue=lambda _name: ["popen"] * count,
    )
    scheduler = FilesInTurn(config)
    nodes = [Node(number, count) for number in range(count)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    while any(node.sent for node in nodes):
        for node in nodes:
            if node.sent:
                index = node.sent.pop(0)
                node.files.append(tests[index].split("::")[0])
                scheduler.mark_test_complete(node, index)
    assert scheduler.tests_finished and not scheduler.has_pending
    return [list(dict.fromkeys(node.files)) for node in nodes]


def test_the_last_of_three_begins_with_the_unit_tests_and_helps_the_others_then() -> None:
    first, second, last = files_of_each(SERVERS + UNITS, 3)
    assert last[:2] == ["tests/unit/test_d.py", "tests/unit/test_e.py"]
    assert sorted(first + second + last[2:]) == [f"tests/faults/test_{name}.py" for name in SERVER_FILES]
    assert last[2:], "it does not end before the others"


@pytest.mark.parametrize(("tests", "count"), [(SERVERS + UNITS, 2), (SERVERS, 3), (UNITS, 3)])
def test_otherwise_all_share_everything(tests: list[str], count: int) -> None:
    files = files_of_each(tests, count)
    assert sorted(file for each in files for file in each) == sorted({test.split("::")[0] for test in tests})
    if count == 2:
        assert [each[0] for each in files] == ["tests/faults/test_a.py", "tests/faults/test_b.py"]


def test_the_longest_come_first_and_unit_tests_last() -> None:
    tests = [UNITS[0], SERVERS[0], "tests/faults/processes/test_servers_killed.py::test_a"]
    assert sorted(tests, key=turn) == tests[::-1]


def test_one_process_has_everything() -> None:
    assert not is_beside({}, SERVERS + UNITS)
