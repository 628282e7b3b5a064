"""Teams: each row creates a document under the dataset's own key. What exists already is never overwritten."""

from __future__ import annotations

from control.creation.kinds import BUILT_IN
from processor.operations.upload import Upload
from processor.operations.work import Work


class Teams(Upload):
    """Creates each team once per organisation; a team that exists is a row error that names it."""

    name = "teams"
    kind = BUILT_IN["teams"]

    def _scope(self, work: Work) -> str | None:
        """See Upload. Jobs share an organisation: a key may be there from another one."""
        return work.job.organisation
