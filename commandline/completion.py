"""Completes job ids in a shell, which waits for it at each tab: where the API does not answer soon there are none."""

from __future__ import annotations

from typing import Final

_SECONDS: Final = 1.5
_MOST: Final = 200


def job_ids(incomplete: str) -> list[tuple[str, str]]:
    """Ids of the newest jobs that begin so, each with what it is."""
    try:
        from commandline.connection import Api

        page = Api().call("GET", "/v1/jobs", params={"limit": _MOST}, timeout=_SECONDS)
        found = [
            (job["id"], f"{job['state']} {job['operation']} of {job['organisation']}, {job['source']['name'] or ''}")
            for job in page["jobs"]
            if job["id"].startswith(incomplete)
        ]
    except Exception:
        return []  # an error must not land in the line that is being typed
    return [*found, *([("last", "the newest job")] if "last".startswith(incomplete) else [])]
