"""What an operator is told of stores whose backups differ in age. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from processor.backups.counts import Difference, Kind
from runtime.text.formatting import counted, number

NAMED: Final = 10
"""Jobs that are named for each kind of difference."""

MEANINGS: Final[dict[Kind, str]] = {
    "fewer": "Elasticsearch lacks rows that are written by what Kafka says: its backup is the older one, or rows were "
    "deleted. They do not come back by themselves. Take out what is left of these jobs (`sluice rollback ID`; of those "
    "that have not ended `sluice terminate ID`), and apply their files again (`sluice upload --again ID`):",
    "more": "Elasticsearch has rows that Kafka does not count: Elasticsearch's backup is from before they were taken "
    "out, or Kafka's from before corrected rows were applied. Delete those of jobs that are ROLLED_BACK by their "
    "`sluice.job_id`, in Elasticsearch:",
    "ahead": "Elasticsearch has rows beyond the checkpoints of these jobs: its backup is the newer one. Nothing has to "
    "be done: a resume writes them again, under the same ids:",
    "unknown": "Elasticsearch has rows of jobs that Kafka knows nothing of: they began after Kafka's backup, or their "
    "history was removed after SLUICE_HISTORY_RETENTION_DAYS. Delete the rows of the former by their `sluice.job_id`, "
    "in Elasticsearch, before their files are uploaded again:",
    "newer_report": "The reports of these jobs are of commands that Kafka does not have, and would stay as they are. "
    "Delete the index of jobs' reports (`DELETE /<SLUICE_PREFIX>-jobs`), and run `sluice rebuild` once more:",
    "no_file": "The storage lacks the files of jobs that are not read to their end: its backup is the older one. "
    "Restore them (`sources/ID`), or terminate these jobs and send the files again:",
    "no_key": "The storage lacks the keys of jobs whose rows wait in Kafka, so workers can't read these rows. Restore "
    "the keys (`keys/ID`), or terminate these jobs and send the files again:",
    "no_result": "The storage lacks the results of these exports. Restore them (`results/ID.csv`), or export again:",
}


def sentences(jobs: int, differences: Iterable[Difference]) -> Iterator[str]:
    """Lines: for each kind of difference what it means and what to do, and the jobs."""
    found = list(differences)
    if not found:
        yield f"Kafka, Elasticsearch and the storage agree about {counted(jobs, 'job')}."
    for kind, meaning in MEANINGS.items():
        lines = [_line(one) for one in found if one.kind == kind]
        if lines:
            yield meaning
            yield from lines[:NAMED]
            if len(lines) > NAMED:
                yield f"  and {number(len(lines) - NAMED)} more"


def _line(one: Difference) -> str:
    about = "" if one.job is None else f" ({one.job.operation} of {one.job.organisation}, {one.job.state})"
    rows = {
        "fewer": f": {number(one.found)} of {number(one.expected)} rows",
        "more": f": {number(one.found)} rows instead of {number(one.expected)}",
        "ahead": f": {number(one.found - one.expected)} rows beyond",
        "unknown": f": {counted(one.found, 'row')}",
    }
    return f"  {one.job_id}{about}{rows.get(one.kind, '')}"
