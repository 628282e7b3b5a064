"""A job as the API answers with it, with every field."""

from __future__ import annotations

from client.answers import Progress
from tests.support.api.hostile import JOB

WHOLE = {
    **JOB,
    "ended": True, "mode": None, "options": {},
    "progress": {
        **JOB["progress"],
        **dict.fromkeys([name for name in Progress.__struct_fields__ if name not in JOB["progress"]], 0),
    },
}  # fmt: skip
