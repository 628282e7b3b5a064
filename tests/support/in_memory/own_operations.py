"""Operations and their test cases, for tests in memory (tests/unit) and on a real Elasticsearch (tests/integration)."""

from __future__ import annotations

import re
from typing import Any

from extensions import key_id
from extensions.testing import Case
from processor.operations.teams import Teams
from processor.operations.upload import Upload
from tests.support.places import ROOT

PEOPLE = [
    {
        "name": f"Kim {name}",
        "email": f"{name}@example.com",
        "phone": "+31 20 555 0100",
        "country": "NL",
        "created_at": "2026-01-31T12:00:00Z",
    }
    for name in ("ann", "bob", "cas", "dee", "eve")
]
TEAMS = [
    {
        "team": f"Team {name}",
        "manager_name": f"Kim {name}",
        "manager_email": f"{name}@example.com",
        "manager_phone": f"+31 20 555 010{place}",
        "region": "North",
        "size": "7",
    }
    for place, name in enumerate(("ann", "bob", "cas", "dee", "eve"))
]
OTHER_PHONES = [{**team, "manager_phone": f"+31 10 555 020{place}"} for place, team in enumerate(TEAMS)]


def page_code() -> tuple[str, str]:
    """The operation that docs/custom-operations.md shows, and the test of it."""
    page = (ROOT / "docs" / "custom-operations.md").read_text("utf-8")
    operation, test = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    return operation, test


def rephone() -> Any:
    """An instance of the page's operation."""
    names: dict[str, Any] = {}
    exec(compile(page_code()[0], "docs/custom-operations.md", "exec"), names)
    return names["Rephone"]()


def stored_team(team: dict[str, str], job: str, row: int) -> dict[str, Any]:
    """A team as another job has left it."""
    return {**team, "size": 7, "sluice": {"job_id": job, "row_number": row, "organisation": "acme"}}


OPERATIONS: dict[str, tuple[Any, Case]] = {
    "upload": (Upload(), Case("people", PEOPLE, {**PEOPLE[0], "email": "nobody"})),
    "teams": (
        Teams(),
        Case(
            "teams",
            TEAMS[1:],
            TEAMS[0],
            {"data-teams": {key_id("acme", [TEAMS[0]["team"]]): stored_team(TEAMS[0], "earlier", 1)}},
        ),
    ),
    "upsert": (
        Upload(),
        Case(
            "teams",
            OTHER_PHONES,
            {**TEAMS[0], "manager_email": "nobody"},
            {
                "data-teams": {
                    key_id("acme", [team["team"]]): stored_team(team, "earlier", row)
                    for row, team in enumerate(TEAMS[:3], 1)
                }
            },
            mode="upsert",
        ),
    ),
    "rephone": (
        rephone(),
        Case(
            "teams",
            OTHER_PHONES,
            {**TEAMS[0], "team": "nobody knows it"},
            {
                "data-teams": {
                    key_id("acme", [team["team"]]): stored_team(team, "earlier", row)
                    for row, team in enumerate(TEAMS, 1)
                }
            },
        ),
    ),
}
