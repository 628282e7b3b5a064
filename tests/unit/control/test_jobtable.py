"""The control table: what it keeps by organisation, and of jobs that are not over, is what all of it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control.jobtable import JobTable
from schemas.job import ENDED, Job, State

IDS, ORGANISATIONS = ("a", "b", "c", "d"), ("acme", "globex")


def job(job_id: str, organisation: str, state: State, offset: int) -> Job:
    return Job(
        id=job_id, operation="upload", dataset="people", organisation=organisation, created_by="ada", state=state,
        created_at=1, command_offset=offset, partitions=2,
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(IDS), st.sampled_from(ORGANISATIONS), st.sampled_from([None, *State]), st.integers(0, 9)
        ),
        max_size=40,
    )
)
def test_jobs_of_an_organisation_and_those_not_over_are_those_of_the_whole_table(
    records: list[tuple[str, str, State | None, int]],
) -> None:
    """Records repeat, come late, name other organisations, and take jobs out that are not there."""
    table = JobTable()
    for job_id, organisation, state, offset in records:
        if state is None:
            table.remove(job_id)
        else:
            table.put(job(job_id, organisation, state, offset))
        known = {one.id: one for one in table}
        assert {one for one in IDS if one in table} == set(known)
        newest = max((one.command_offset for one in known.values()), default=-1)
        assert newest <= table.newest_offset <= max([-1, *(offset for *_, state, offset in records if state)])
        for name in ORGANISATIONS:
            assert {one.id: one for one in table.of(name)} == {
                one.id: one for one in known.values() if one.organisation == name
            }
        assert {one.id: one for one in table.not_ended()} == {
            one.id: one for one in known.values() if one.state not in ENDED
        }
