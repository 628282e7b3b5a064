"""What makes a test fail on a machine that is faster, or slower, than the one it was written on."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from tests.forking import PRELOADED

TESTS = Path(__file__).parents[1]
FILES = sorted(file for part in ("e2e", "faults", "integration") for file in (TESTS / part).glob("test_*.py"))

SLEEPS = re.compile(r"\bsleep\((?!900\))")  # a stand-in for a process that does nothing
TESTS_AS_HELPERS = re.compile(r"from tests\.(?:\w+\.)*test_\w+ import")
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_is_waited_for_by_the_clock(file: Path) -> None:
    assert SLEEPS.findall(file.read_text("utf-8")) == []


@pytest.mark.parametrize("file", sorted(TESTS.rglob("*.py")), ids=lambda file: file.stem)
def test_a_wait_has_no_limit_of_its_own(file: Path) -> None:
    """On a busy machine each would be too short one day: `PATIENCE` of tests/waiting.py is for all of them."""
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


@pytest.mark.parametrize("file", sorted(TESTS.rglob("*.py")), ids=lambda file: file.stem)
def test_helpers_stand_in_modules_of_their_own(file: Path) -> None:
    """A change of one test is not a change of another; pytest does not find a helper's tests twice."""
    assert TESTS_AS_HELPERS.findall(file.read_text("utf-8")) == []


@pytest.mark.parametrize("file", sorted((TESTS / "unit").glob("test_*.py")), ids=lambda file: file.stem)
def test_clocks_are_given_and_not_patched(file: Path) -> None:
    """What needs a clock or a sleep takes it as an argument (`runtime/clock.py`)."""
    assert [match[0] for match in PATCHED_CLOCKS.finditer(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_job_is_held_back_while_something_is_done_to_it(file: Path) -> None:
    """At full speed it may have ended before it is paused or terminated, which is refused then."""
    source = file.read_text("utf-8")
    tests = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    parts = {test.name: ast.get_source_segment(source, test) or "" for test in tests}
    assert [name for name, text in parts.items() if STOPS.search(text) and not HOLDS.search(text)] == []
