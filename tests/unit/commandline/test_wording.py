"""What the command line says of a job that looks like an accident."""

from __future__ import annotations

import pytest

from commandline.view.wording import suspicion_lines


@pytest.mark.parametrize(
    ("state", "applied", "before"),
    [
        ("PAUSED", 0, ", once this job is terminated"),
        ("FAILED", 0, ", once this job is terminated"),
        ("COMPLETED", 10, ", once this job is rolled back"),
        ("COMPLETED_WITH_ERRORS", 0, ""),
        ("ROLLED_BACK", 10, ""),
    ],
)
def test_what_has_to_be_done_before_the_file_is_applied_again(state: str, applied: int, before: str) -> None:
    found = {"message": "email and phone look exchanged", "command": "sluice upload --again j1 --map email=phone"}
    job = {"state": state, "reason": None, "suspicion": found, "progress": {"rows_applied": applied}}
    assert suspicion_lines(job) == [
        "Its first rows: email and phone look exchanged.",
        f"To apply the file with its columns put right{before}: sluice upload --again j1 --map email=phone",
    ]
