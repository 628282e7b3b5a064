"""The simulation of a cluster: no row is lost, more machines do no harm, and it comes to what was measured."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.capacity.checks import TOLERANCE, checked
from bench.capacity.cluster import Cluster, Job, Simulation
from bench.capacity.plot import Figure, Flat, svg
from bench.capacity.report import disk_table, kept_table, measured_tables
from bench.capacity.sizing import LADDER, Load, busiest_hour, cluster_for, saturating, sized
from bench.model import PAGE, section

LARGE = Cluster(workers=1, partitions=64, readers=16, elasticsearch_cores=400, shards=50)


def uploads(*rows: int, apart: float = 0.0) -> list[Job]:
    return [Job(rows=count, arrives=number * apart) for number, count in enumerate(rows)]


@given(
    st.builds(
        Cluster,
        workers=st.integers(1, 12),
        partitions=st.integers(1, 24),
        readers=st.integers(1, 3),
        elasticsearch_cores=st.floats(0.5, 20),
        kept_jobs=st.integers(0, 50_000),
    ),
    st.lists(st.tuples(st.integers(1, 40_000), st.floats(0, 3)), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=40)
def test_every_row_is_in_one_place_at_any_time_and_written_in_the_end(
    cluster: Cluster, jobs: list[tuple[int, float]]
) -> None:
    simulation = Simulation(cluster, [Job(rows=rows, arrives=arrives) for rows, arrives in jobs])
    written = 0.0
    while simulation.now < 300 and len(simulation.outcome().ended_after if simulation.now else ()) < len(jobs):
        simulation.step()
        now = simulation.outcome()
        assert now.rows_arrived == pytest.approx(now.rows_waiting + now.rows_in_kafka + now.rows_written)
        assert min(now.rows_waiting, now.rows_in_kafka) >= -1e-6
        assert now.rows_written >= written - 1e-6
        written = now.rows_written
    assert written == pytest.approx(sum(rows for rows, _ in jobs))


@pytest.mark.parametrize("rows", [100_000, 5_000_000])
def test_more_workers_write_no_fewer_rows(rows: int) -> None:
    """Of jobs that are large enough not to keep the control agent busy."""
    rates = []
    for workers in (1, 2, 4, 8):
        run = Simulation(replace(LARGE, workers=workers), uploads(*[rows] * 8))
        rates.append(run.run(600, until_ended=True).rows_per_second)
    assert rates == sorted(rates)
    assert rates[1] > 1.5 * rates[0]


def test_more_cores_of_elasticsearch_write_no_fewer_rows() -> None:
    rates = [
        Simulation(replace(LARGE, workers=8, elasticsearch_cores=cores), uploads(*[1_000_000] * 8)).run(5)
        for cores in (1, 4, 16, 64)
    ]
    assert [run.rows_written for run in rates] == sorted(run.rows_written for run in rates)
    assert rates[0].busy["elasticsearch"] == pytest.approx(1, abs=0.2)


def test_one_control_agent_bounds_small_jobs_however_many_workers_there_are() -> None:
    few, many = saturating(4, 1_000), saturating(32, 1_000)
    assert few.busy["control"] > 0.95 and many.busy["control"] > 0.95
    assert many.rows_per_second < 1.2 * few.rows_per_second


def test_a_job_of_one_block_keeps_one_worker_busy_and_the_others_idle() -> None:
    run = Simulation(replace(LARGE, workers=4), uploads(*[400] * 50))
    outcome = run.run(60, until_ended=True)
    assert outcome.busy["busiest worker"] == pytest.approx(4 * outcome.busy["workers"])


def test_one_file_is_read_by_one_reader() -> None:
    run = Simulation(replace(LARGE, workers=32), uploads(20_000_000)).run(20)
    assert run.rows_per_second <= 400_000 + 1
    assert Simulation(replace(LARGE, workers=32), uploads(*[2_000_000] * 10)).run(20).rows_per_second > 800_000


def test_jobs_that_are_kept_cost_the_control_agent() -> None:
    load = Load("", jobs=100_000, rows=1_000)
    few, many = (busiest_hour(load, cluster_for(4, kept)).busy["control"] for kept in (1_000, 200_000))
    assert many > few + 0.1


def test_a_load_is_given_the_smallest_cluster_that_carries_it() -> None:
    small, large = (sized(Load("", jobs=2_000, rows=rows)) for rows in (1_000, 2_000_000))
    assert small.fits and large.fits
    assert small.cluster.workers == LADDER[0] < large.cluster.workers
    assert not sized(Load("", jobs=3_000_000, rows=100)).fits


def test_the_simulation_comes_to_what_was_measured() -> None:
    assert [str(point) for point in checked() if abs(point.off) > TOLERANCE] == []


def test_the_picture_of_flat_figures_is_drawn_within_its_frame() -> None:
    sizes = [Figure(rows, 1, 30.0, 11.0) for rows in (10_000, 100_000, 20_000_000)]
    picture = ElementTree.fromstring(svg(Flat(sizes, [Figure(1_000_000, jobs, 28.0, 12.0) for jobs in (1, 1000)])))
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    points = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(points) == 2 * (3 + 2)
    assert all(0 < float(point.attrib["cx"]) < width and 0 < float(point.attrib["cy"]) < height for point in points)
    labels = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "10,000,000" in labels and "1,000" in labels


def test_the_page_has_the_tables_of_the_constants_there_are() -> None:
    """Of the quick ones; `python -m bench.model --write` makes them all."""
    page = PAGE.read_text(encoding="utf-8")
    assert section("measured").text(page) == "\n".join(measured_tables())
    assert section("disk").text(page) == "\n".join(disk_table())
    assert "\n".join(kept_table()) in section("simulated").text(page)
