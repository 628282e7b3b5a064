"""Intervals are measured by the monotonic clock: the wall clock is set back now and then.

Where the wall clock's time is subtracted or compared, the other side is a time that somebody has recorded: in a
message, a file or a token. Each of these places is named here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.places import ROOT

PARTS = ("api", "client", "commandline", "control", "ingest", "processor")
WALL_ARGUMENTS = {"now: int", "now_ms: int"}
READINGS = {"now_ms", "_now_ms", "time_ns"}

RECORDED: Final = {
    "api/jobs/creation/drafts.py": {"_expired", "_over"},
    "api/pages/glance/plot.py": {"_is_behind"},
    "api/principals/caller.py": {"holds"},
    "api/principals/issuing.py": {"_sweep"},
    "api/principals/signer.py": {"_current"},
    "api/principals/store.py": {"used"},
    "api/readmodel/following/decoding.py": {"__init__"},
    "api/readmodel/following/job_follower.py": {"history_read_since"},
    "api/readmodel/job_index.py": {"per_second"},
    "api/uploads/abandoned_parts.py": {"remove_abandoned_parts"},
    "api/uploads/import_folders.py": {"_settled"},
    "api/web/ending.py": {"_until_ended"},
    "api/webhooks/delivering.py": {"_expire", "_hasten"},
    "api/webhooks/ownership.py": {"_start"},
    "api/webhooks/receiver_queue.py": {"seconds_left"},
    "control/principals/registry.py": {"end_of", "ended_at", "sessions_over", "signers_over"},
    "control/timers.py": {"due", "time_problem"},
    "control/webhooks/schedule.py": {"after_attempt"},
    "control/webhooks/signing.py": {"secrets_of"},
    "processor/elastic/generations.py": {"roll"},
    "processor/erasure/expiry.py": {"has_passed", "oldest"},
    "processor/erasure/housekeeping.py": {"_older_than"},
    "processor/erasure/topics.py": {"_remove", "_remove_old"},
    "processor/execution/maintenance.py": {"_sweep_claims", "_sweep_images"},
    "processor/execution/report_retention.py": {"delete_old_reports"},
    "processor/stream/command_intake.py": {"settle"},
}
"""File -> the functions in which the wall clock's time meets a recorded one."""


def is_reading(node: ast.AST) -> bool:
    """Whether this asks the wall clock."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    owner = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
    return name in READINGS or f"{owner}.{name}" in ("time.time", "datetime.now", "datetime.utcnow")


def is_wall_time(node: ast.AST) -> bool:
    """Whether this is the wall clock's time, or is computed from it."""
    if isinstance(node, ast.BinOp):
        return is_wall_time(node.left) or is_wall_time(node.right)
    rounded = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("int", "round", "min", "max")
    return is_reading(node) or (rounded and any(map(is_wall_time, node.args)))  # type: ignore[attr-defined]


def wall_names(function: ast.AST) -> set[str]:
    """The names in a function that hold the wall clock's time: its milliseconds are whole numbers, the seconds of the
    monotonic clock are not."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and node.annotation is not None and ast.unparse(node) in WALL_ARGUMENTS:
            found.add(node.arg)
        if isinstance(node, ast.Assign):
            pairs = [(node.targets[0], node.value)]
            if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(node.targets[0].elts, node.value.elts, strict=True))
            found |= {target.id for target, value in pairs if isinstance(target, ast.Name) and is_wall_time(value)}
    return found


def measuring(tree: ast.AST) -> Iterator[str]:
    """The names of the functions of a module that subtract or order the wall clock's time."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        names = wall_names(function)
        for node in ast.walk(function):
            subtracts = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)
            orders = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
            if (subtracts or orders) and any(
                is_wall_time(part) or (isinstance(part, ast.Name) and part.id in names) for part in ast.walk(node)
            ):
                yield function.name


def test_the_wall_clock_s_time_is_compared_with_recorded_times_only() -> None:
    found: dict[str, set[str]] = {}
    for file in sorted(file for part in PARTS for file in (ROOT / part).rglob("*.py")):
        names = set(measuring(ast.parse(file.read_text("utf-8"))))
        if names:
            found[file.relative_to(ROOT).as_posix()] = names
    assert found == RECORDED, "measure intervals by the monotonic clock; name a function that looks at recorded times"


@pytest.mark.parametrize(
    "lines",
    [
        "now = self._now_ms()\n    return now - self._last_ms < 500",
        "now, begun = clock.now_ms(), 1\n    return self.closed_until > now",
        "return time.time() - self.begun",
    ],
)
def test_a_throttle_by_the_wall_clock_is_found(lines: str) -> None:
    assert set(measuring(ast.parse(f"def due(self):\n    {lines}\n"))) == {"due"}
