"""`./sluice bench`: runs the measurements, and prints their figures.

Without the name of a measurement it is the comparison with other ways, `compare`; names of these may follow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

app = typer.Typer(add_completion=False, help="Measure, on a stack of its own.", no_args_is_help=False)


@app.command()
def compare(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Ways to compare; none: all of them.")
    ] = None,
    rows: Annotated[int, typer.Option(min=100, help="1000000 takes an hour.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=1, help="No round begins that would probably end later; as a rule 9.5, above 100,000 rows none."
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw time a row against rows.")] = None,
) -> None:
    """Sluice beside other ways to bring the same rows into Elasticsearch, in turns, in one run."""
    from bench.compare import command

    if minutes is None:
        minutes = 9.5 if rows <= 100_000 else 600.0
    command.run(names or (), rows, rounds, minutes, json_file, plot)


@app.command(name="all")
def everything() -> None:
    """All measurements but growth and capacity, one after the other."""
    compare(names=None, rows=300_000, rounds=5, minutes=None, json_file=None, plot=None)
    upload(rows=300_000, rounds=3, as_json=False)
    control(only=None, as_json=False)
    checks(rows=200_000, rounds=5, as_json=False)
    teams(count=10_000, rounds=3, as_json=False)
    upsert(rows=100_000, rounds=3, as_json=False)
    inbox(rows=200_000, as_json=False)
    export(rows=300_000, rounds=3, memory_rows=2_000_000, as_json=False)
    start(jobs=100_000, as_json=False)
    accidents(seeds=None, more=None, files=1000, rows=300_000, rounds=5, as_json=False)
    scale(rows=500_000, rounds=5, as_json=False)
    flat(rows=1_000_000, shared_rows=1_000_000, as_json=False)
    idle(seconds=60, as_json=False)
    jobs(count=1000, as_json=False)
    index(rows=200_000, rounds=5, as_json=False)


@app.command()
def upload(
    rows: Annotated[int, typer.Option(min=1)] = 300_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """An upload beside a tuned direct bulk load of the same documents."""
    from bench import upload as bench

    figures = bench.measure(rows, rounds)
    if as_json:
        print(json.dumps(bench.as_dict(figures), indent=2))
        return
    print(f"direct bulk load       {figures.direct_rows_per_second:>10,.0f} rows/s")
    print(f"upload through Sluice  {figures.sluice_rows_per_second:>10,.0f} rows/s, POST to COMPLETED")
    print(f"ratio                  {figures.ratio:>10.2f}")
    for role, seconds in figures.cpu_seconds.items():
        peak, each = figures.peak_megabytes.get(role), figures.cpu_microseconds_per_row[role]
        print(
            f"{role:<14} {seconds:>6.1f} s of CPU, {each:.2f} µs a row" + (f", at most {peak:.0f} MB" if peak else "")
        )
    own = sum(figures.cpu_microseconds_per_row[role] for role in ("api", "ingest", "worker"))
    kafka = figures.cpu_microseconds_per_row["kafka"]
    print(f"worker, reader and API {own:>9.2f} µs of CPU a row (<= 6), Kafka {kafka:.2f} (<= 2)")


@app.command()
def start(
    jobs: Annotated[int, typer.Option(min=1, help="Ended jobs in the topics.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How long each process takes to start, and its memory, where so many jobs that have ended are in the topics."""
    from bench import start as bench

    figures = bench.measure(jobs)
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        print(
            f"{figure.role:<8} ready after {figure.seconds:>6.1f} s, {figure.cpu_seconds:>6.1f} s of CPU, "
            f"{figure.megabytes:>6.0f} MB, at most {figure.peak_megabytes:>6.0f} MB"
        )


@app.command()
def export(
    rows: Annotated[int, typer.Option(min=1)] = 300_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    memory_rows: Annotated[
        int, typer.Option(min=0, help="Rows of the largest export; 0: memory is not measured.")
    ] = 2_000_000,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """An export beside one process that scrolls through the same rows; a tenth beside the whole; memory."""
    from bench import export as bench

    figures = bench.measure(rows, rounds)
    peaks = bench.memory(memory_rows) if memory_rows else {}
    if as_json:
        print(json.dumps(bench.as_dict(figures, peaks), indent=2))
        return
    print(f"helpers.scan to CSV    {figures.scan_rows_per_second:>10,.0f} rows/s")
    print(f"export through Sluice  {figures.sluice_rows_per_second:>10,.0f} rows/s, POST to COMPLETED")
    print(f"ratio                  {figures.ratio:>10.2f}")
    print(f"a tenth of the rows    {figures.tenth_of_whole:>10.2f} of the time of all")
    print(f"pause                  {figures.pause_ms[0]:>10.0f} ms, 95th percentile {figures.pause_ms[1]:.0f} ms")
    print(f"resume to next rows    {figures.resume_ms:>10.0f} ms")
    print(f"terminate              {figures.terminate_ms:>10.0f} ms, until nothing is left of it")
    for role, seconds in figures.cpu_seconds.items():
        print(f"{role:<14} {seconds:>6.1f} s of CPU")
    for count, megabytes in peaks.items():
        print(f"{count:>10,} rows: " + ", ".join(f"{role} {peak:.0f} MB" for role, peak in megabytes.items()))


@app.command()
def control(
    only: Annotated[list[str] | None, typer.Option(help="A part of the table: pauses, workers, reread, ...")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How fast commands take effect at full load."""
    from bench import control as bench

    unknown = set(only or ()) - bench.PARTS.keys()
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: the parts are {', '.join(bench.PARTS)}")
    figures = bench.measure(only or ())
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        print(f"{figure.name:<70} {figure.value:>8.2f} {figure.unit:<3} ({figure.bar})")


@app.command()
def checks(
    rows: Annotated[int, typer.Option(min=1000)] = 200_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How fast one process checks rows against their dataset; no server is started."""
    from bench import checks as bench

    figures = bench.measure(rows, rounds)
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        name = f"rows checked by one process, {figure.bad_percent}% of them bad"
        print(f"{name:<70} {figure.rows_per_second:>10,.0f} rows/s (>= {bench.BAR:,})")


@app.command()
def teams(
    count: Annotated[int, typer.Option(min=1)] = 10_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The creation of teams on a warm stack."""
    from bench import teams as bench

    figure = bench.measure(count, rounds)
    if as_json:
        print(json.dumps(asdict(figure), indent=2))
        return
    print(f"{figure.teams:,} teams, POST to COMPLETED {figure.seconds:>8.2f} s (< {bench.BAR_SECONDS:g})")


@app.command()
def upsert(
    rows: Annotated[int, typer.Option(min=1)] = 100_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Rows upserted over documents that exist, unchanged ones, and the undo, beside the creation of the same rows."""
    from bench import upsert as bench

    figures = bench.measure(rows, rounds)
    if as_json:
        print(json.dumps(asdict(figures), indent=2))
        return
    lines = (
        ("rows created", figures.create_rows_per_second, "POST to COMPLETED"),
        ("upserted, all changed", figures.upsert_rows_per_second, f"{figures.upsert_ratio:.2f} of that (>= 0.5)"),
        ("upserted, 5% changed", figures.unchanged_rows_per_second, f"{figures.unchanged_ratio:.2f} of that (>= 1)"),
        ("undo of the upsert", figures.undo_rows_per_second, "POST to ROLLED_BACK (>= the upsert)"),
    )
    for name, rate, told in lines:
        print(f"{name:<22} {rate:>10,.0f} rows/s, {told}")
    for name, used in figures.cpu_microseconds_per_row.items():
        print(f"processor time a row, {name:<10} " + ", ".join(f"{role} {us:.1f} µs" for role, us in used.items()))
    print(f"pause of an upsert     {figures.pause_ms[0]:>10.0f} ms, 95th percentile {figures.pause_ms[1]:.0f} ms")


@app.command()
def inbox(
    rows: Annotated[int, typer.Option(min=1)] = 200_000,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How fast one reader makes blocks of single rows that services produce."""
    from bench import inbox as bench

    figures = bench.measure(rows)
    if as_json:
        print(json.dumps(asdict(figures), indent=2))
        return
    print(f"single rows into blocks        {figures.at_home_rows_per_second:>10,.0f} rows/s (>= 20,000)")
    print(f"the same, moved there first    {figures.moved_rows_per_second:>10,.0f} rows/s")
    print(f"the reader's CPU               {figures.cpu_seconds:>10.1f} s for {figures.rows:,} rows")


@app.command()
def accidents(
    seeds: Annotated[
        list[str] | None,
        typer.Option(metavar="N", help="Seeds of the generated rows: 3, 1,2,3, or 1-5; more may follow."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="SEEDS", help="More seeds.")] = None,
    files: Annotated[int, typer.Option(min=1, help="Clean files to look at.")] = 1000,
    rows: Annotated[int, typer.Option(min=0, help="Rows of the uploads whose cost is measured; 0: none is.")] = 300_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """How many accidents in files are seen, how many clean files are taken for one, and what looking costs."""
    from bench.accidents import report
    from bench.accidents import seen as bench
    from bench.accidents.cost import measure

    try:
        numbers = report.seeds_of([*(seeds or []), *(more or [])] or ["1-3"])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    figures = bench.measure(numbers, files, lambda text: print(text, file=sys.stderr, flush=True))
    cost = measure(rows, rounds) if rows else None
    if as_json:
        print(json.dumps(report.as_dict(figures, cost), indent=2))
        return
    for line in report.lines(figures, cost):
        print(line)


@app.command()
def scale(
    rows: Annotated[int, typer.Option(min=1)] = 500_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Rows a second of one worker and of two, each on a core of its own, with a sink that answers at once."""
    from bench.scaling import workers as bench

    figures = bench.measure(rows, rounds)
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        name = f"{figure.workers} worker{'s' if figure.workers > 1 else ''}"
        print(
            f"{name:<12} {figure.rows_per_second:>10,.0f} rows/s, "
            f"{figure.rows_per_core_second:,.0f} for each second of a worker's processor time"
        )
    one, two = figures[0], figures[-1]
    print(f"two beside one {two.rows_per_second / one.rows_per_second:>8.2f} of the rows a second,", end=" ")
    print(f"{two.rows_per_core_second / one.rows_per_core_second:.2f} of the rows for each second of processor time")


@app.command()
def flat(
    rows: Annotated[
        int, typer.Option(min=10_000, help="Rows of the largest upload; 20000000 takes half an hour.")
    ] = 1_000_000,
    shared_rows: Annotated[
        int, typer.Option(min=1_000, help="Rows that 1, 10, 100 and 1,000 jobs at once have between them.")
    ] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Time a row and memory with ever more rows, and with the same rows in ever more jobs; an export's first row."""
    from bench.scaling import flat as bench

    figures = bench.measure(rows, shared_rows, lambda text: print(text, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps(asdict(figures), indent=2))
        return
    print(f"a job of one row       {figures.one_row_seconds:>8.2f} s, POST to COMPLETED")
    for figure in (*figures.sizes, *figures.at_once):
        peaks = ", ".join(f"{role} {peak:.0f} MB" for role, peak in figure.peak_megabytes.items())
        beside = figure.script_microseconds_per_row
        script = "" if beside is None else f"{beside:.1f} of a script, "
        print(
            f"{figure.rows:>12,} rows in {figure.jobs:>5,} jobs {figure.microseconds_per_row:>8.1f} µs a row, {script}"
            f"{figure.cpu_microseconds_per_row:.1f} µs of our processor time; {peaks}"
        )
    for name, measured in (("rows", figures.sizes), ("jobs at once", figures.at_once)):
        times = [figure.microseconds_per_row for figure in measured]
        print(f"between fastest and slowest, of all numbers of {name}: {max(times) / min(times) - 1:.0%} (<= 15%)")
    print(f"first row of an export {figures.export_first_row_seconds:>8.2f} s (<= 1)")


@app.command()
def idle(
    seconds: Annotated[float, typer.Option(min=1)] = 60,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Processor time of a stack with nothing to do."""
    from bench.scaling import idle as bench

    figure = bench.measure(seconds)
    if as_json:
        print(json.dumps({**asdict(figure), "own_percent": figure.own_percent}, indent=2))
        return
    for role, percent in figure.percent.items():
        print(f"{role:<14} {percent:>6.2f}% of a core")
    print(f"Sluice's own   {figure.own_percent:>6.2f}% (< {bench.BAR_PERCENT:g}%)")


@app.command()
def jobs(
    count: Annotated[int, typer.Option(min=1)] = 1000,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The list of jobs with many of them in the table."""
    from bench.scaling import jobs as bench

    figures = bench.measure(count)
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        name = f"list of {count:,} jobs, {figure.name} ({figure.jobs:,} jobs)"
        print(
            f"{name:<60} median {figure.median_ms:>7.1f} ms, longest {figure.slowest_ms:.1f} ms (<= {bench.BAR_MS:g})"
        )


@app.command()
def index(
    rows: Annotated[int, typer.Option(min=1)] = 200_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """What a dataset saves whose fields say `sluice.index: false`."""
    from bench.scaling import unindexed as bench

    figures = bench.measure(rows, rounds)
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        name = f"{', '.join(figure.left_out)} not in the index" if figure.left_out else "every field in the index"
        print(
            f"{name:<50} {figure.rows_per_second:>8,.0f} rows/s, {figure.elasticsearch_microseconds_per_row:.1f} µs of "
            f"Elasticsearch's processor time and {figure.bytes_per_row:.0f} bytes on disk a row"
        )


@app.command()
def growth(
    kept: Annotated[list[int] | None, typer.Option(help="Ended jobs in the table; may be repeated.")] = None,
    paused: Annotated[
        int, typer.Option(min=0, help="Paused jobs that come after that, with a lane on each partition.")
    ] = 500,
    commands: Annotated[int, typer.Option(min=10)] = 300,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Start, takeover and commands with ever more jobs in the table, and with ever more lanes."""
    from bench.capacity import growth as bench

    figures = bench.measure(sorted(kept or [0, 10_000]), paused, commands, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for figure in figures:
        print(
            f"{figure.kept_jobs:>8,} jobs, {figure.lanes:>7,} lanes: ready after {figure.start_seconds:.1f} s "
            f"({figure.start_cpu_seconds:.2f} s of processor time), takeover {figure.takeover_seconds:.1f} s; "
            f"{figure.commands_per_second:.0f} commands/s, {figure.command_cpu_us:,.0f} µs each; "
            f"{figure.megabytes:.0f} MB"
        )
    for name, value in bench.slopes(figures).items():
        print(f"{name:<22} {value:>10.2f}")


@app.command()
def capacity(
    rows: Annotated[int, typer.Option(min=10_000, help="Rows of an upload.")] = 200_000,
    jobs: Annotated[int, typer.Option(min=1, help="Small jobs that begin at once.")] = 200,
    kept: Annotated[int, typer.Option(min=1, help="Ended jobs in the table.")] = 10_000,
    paused: Annotated[int, typer.Option(min=1, help="Paused jobs, with a lane on each partition.")] = 500,
    commands: Annotated[int, typer.Option(min=10)] = 300,
    json_file: Annotated[Path | None, typer.Option("--json", help="A file for `python -m bench.model`.")] = None,
) -> None:
    """What a row, a command, a lane and a job kept cost: the constants of `python -m bench.model`."""
    from bench.capacity import run as bench

    found = bench.measure(rows, jobs, kept, paused, commands, lambda text: print(text, file=sys.stderr, flush=True))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    for line in bench.lines(found):
        print(line)


def completed(arguments: Sequence[str]) -> list[str]:
    """The arguments with the name of a measurement in front: `compare`, where they begin with none."""
    measurements = {
        command.name or (command.callback and command.callback.__name__) for command in app.registered_commands
    }
    if arguments and (arguments[0] in measurements or arguments[0] in ("--help", "-h")):
        return list(arguments)
    return ["compare", *arguments]


if __name__ == "__main__":
    app(completed(sys.argv[1:]), prog_name="sluice bench")
