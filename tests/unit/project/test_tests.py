"""What makes a test fail on a machine that is faster, or slower, than the one it was written on."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.places import TESTS
from tests.support.processes.forking import PRELOADED

UNIT = sorted((TESTS / "unit").rglob("test_*.py"))
FILES = sorted(file for part in ("e2e", "faults", "integration") for file in (TESTS / part).rglob("test_*.py"))

SLEEPS = re.compile(r"\bsleep\((?!900\))")  # a stand-in for a process that does nothing
PATCHED_CLOCKS = re.compile(
    r"""setattr\([^)]*?(\btime\b|\bclock\b|sleep|monotonic|perf_counter)|\b(time|asyncio)\.\w+ = """
)
"""A clock or a sleep of the whole process, which everything else in it would have as well."""
WAITS = ("result", "flush", "wait", "join", "poll", "acquire", "communicate")
LIMIT = 5
"""Seconds from which on a number is a limit; what is to be seen not to come is waited for less."""
STOPS = re.compile(r'\(\s*\w+, "(pause|terminate)"|"(pause|terminate)", \w+')
HOLDS = re.compile(
    r'rows_per_second|"--rate"|"Rows a second"|begin_slowly|undoing|slow_ingest|max_errors|topic_job|make_job|QUEUED|'
    "suspicion|409"
)
"""The job is held back, has no end, or the test knows what to do when it was faster."""


@pytest.mark.parametrize("module", PRELOADED)
def test_what_the_fork_server_imports_is_there(module: str) -> None:
    """Of what is not there it says nothing, and each process imports it anew."""
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_nothing_is_waited_for_by_the_clock(file: Path) -> None:
    assert SLEEPS.findall(file.read_text("utf-8")) == []


def imported_tests(source: str) -> list[str]:
    """What a module imports of modules of tests, with dots."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            place = f"tests.{node.module or ''}" if node.level else node.module or ""
            found += [f"{place}.{name.name}" for name in node.names]
    return [name for name in found if name.startswith("tests.") and ".test_" in name]


@pytest.mark.parametrize("file", sorted(TESTS.rglob("*.py")), ids=lambda file: str(file.relative_to(TESTS)))
def test_a_wait_has_no_limit_of_its_own(file: Path) -> None:
    """On a busy machine each would be too short one day: `PATIENCE` of tests/support/waiting.py is for all of them."""
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls if limit_of(call) >= LIMIT] == []
    if file in FILES:
        assert [ast.unparse(call) for call in calls if is_request(call) and not has(call, "timeout")] == []


def limit_of(call: ast.Call) -> float:
    """The seconds that a call waits at most, where they are written as a number; else 0."""
    told = [word.value for word in call.keywords if word.arg in ("timeout", "timeout_seconds")]
    if isinstance(call.func, ast.Attribute) and call.func.attr in WAITS and len(call.args) == 1:
        told.append(call.args[0])
    numbers = [one.value for one in told if isinstance(one, ast.Constant)]
    return max((number for number in numbers if isinstance(number, int | float)), default=0)


def is_request(call: ast.Call) -> bool:
    """Whether httpx2's own limit of five seconds counts."""
    return ast.unparse(call.func) in {f"httpx2.{name}" for name in ("get", "post", "put", "delete", "stream", "Client")}


def has(call: ast.Call, name: str) -> bool:
    return any(word.arg in (name, None) for word in call.keywords)


@pytest.mark.parametrize("file", sorted(TESTS.rglob("*.py")), ids=lambda file: str(file.relative_to(TESTS)))
def test_helpers_stand_in_modules_of_their_own(file: Path) -> None:
    """A change of one test is not a change of another; pytest does not find a helper's tests twice."""
    assert imported_tests(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "from tests.x.test_y import z",
        "from tests.x import test_y",
        "from tests.x import (\n    a,\n    test_y as b,\n)",
        "import tests.x.test_y",
        "from . import test_y",
    ],
)
def test_each_way_to_import_a_test_is_seen(line: str) -> None:
    assert len(imported_tests(line)) == 1 and imported_tests("from tests.x import y, testing") == []


@pytest.mark.parametrize("file", UNIT, ids=lambda file: str(file.relative_to(TESTS)))
def test_clocks_are_given_and_not_patched(file: Path) -> None:
    """What needs a clock or a sleep takes it as an argument (`runtime/clock.py`)."""
    assert [match[0] for match in PATCHED_CLOCKS.finditer(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_a_job_is_held_back_while_something_is_done_to_it(file: Path) -> None:
    """At full speed it may have ended before it is paused or terminated, which is refused then."""
    source = file.read_text("utf-8")
    tests = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    parts = {test.name: ast.get_source_segment(source, test) or "" for test in tests}
    assert [name for name, text in parts.items() if STOPS.search(text) and not HOLDS.search(text)] == []


MOST_FILES = 16
"""In one folder: more are a list that no one reads."""


def test_a_folder_of_tests_can_be_looked_over() -> None:
    sizes = Counter(file.parent.relative_to(TESTS) for file in TESTS.rglob("*.py"))
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_FILES} == {}
