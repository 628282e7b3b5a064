"""The `sluice` command: the local stack's commands, and those of commandline/, kibana/ and sample_csv/."""

from __future__ import annotations

if __name__ == "__main__":
    from runtime.text.interrupts import end_when_interrupted

    end_when_interrupted()  # before anything else is imported

import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from devstack.errors import FAILED, UNREACHABLE, USAGE, StackError
from runtime.text.sentences import Sentences
from runtime.text.terminal import out, say, write_line

ROOT = Path(__file__).resolve().parent.parent

app = typer.Typer(
    name="sluice",
    cls=Sentences,
    help="Bulk CSV jobs on Kafka that an operator can watch, stop, resume and take back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(
    exit_at_end: Annotated[
        bool, typer.Option("--exit", help="Stop the stack at the end, unless it ran before.")
    ] = False,
) -> None:
    """Start everything and show the main job: upload 100,000 rows, pause, resume."""
    try:
        module = importlib.import_module("devstack.demo")
    except ModuleNotFoundError as error:
        if error.name != "devstack.demo":
            raise
        raise StackError("This installation has no demo.") from error
    raise typer.Exit(module.run(exit_at_end))


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return once everything is ready.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=0, max=64, help="How many workers; while it runs, scales them.", show_default="1")
    ] = None,
    servers_only: Annotated[bool, typer.Option("--servers-only", hidden=True)] = False,
) -> None:
    """Start what is missing of the local stack, and keep it running."""
    from devstack.lifecycle.startup import up as start
    from runtime.settings import settings

    start(settings(), detach, workers, servers_only)


@app.command()
def down() -> None:
    """Stop the local stack; its data stays."""
    from devstack.lifecycle.shutdown import down as stop
    from runtime.settings import settings

    say("Stopping ...")
    say("Everything is stopped." if stop(settings()) else "Nothing was running.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Show what runs and where; exit code 3 when nothing does."""
    from devstack.lifecycle import status as stack
    from runtime.settings import settings

    addresses, records = stack.report(settings())
    if as_json:
        write_line(stack.as_json(addresses, records))
    else:
        stack.show(addresses, records)
    if not any(stack.runs(record) for record in records):
        raise typer.Exit(UNREACHABLE)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False)
def test(
    args: Annotated[list[str] | None, typer.Argument(help="Arguments that go to pytest as they are.")] = None,
) -> None:
    """Run the tests on a Kafka and an Elasticsearch of their own; ARGS go to pytest.

    Without ARGS, which is all of them, those that need no server run beside the others, in a process of their own.
    Compiled code is kept in __pycache__, whatever PYTHONDONTWRITEBYTECODE says: each of the run's processes needs it.
    """
    _require("pytest", "test")
    os.chdir(ROOT)
    words = args or ["-n", "4", "--durations", "10"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *words], environment)  # noqa: S606


@app.command()
def check() -> None:
    """Check the code: format, lint, types, imports, docs; exit code 1 when one of them fails."""
    _require("mypy", "check")
    from devstack.check import check as run

    raise typer.Exit(0 if run(ROOT) else FAILED)


@app.command()
def migrate(
    partitions: Annotated[
        int | None, typer.Option(min=1, max=256, help="Raise the partitions of rows, lanes and plans to this number.")
    ] = None,
    roll_over: Annotated[
        str | None, typer.Option(metavar="DATASET", help="Begin another index for the rows of a dataset.")
    ] = None,
) -> None:
    """Make the topics and indices that are missing, add what is new, and say what differs."""
    from runtime.logs import configure_logging
    from runtime.provision import migrate as make
    from runtime.settings import settings

    configure_logging(settings())
    raise typer.Exit(make(settings(), partitions, roll_over))


@app.command()
def rebuild() -> None:
    """Make the reports in Elasticsearch (jobs, progress, row errors) anew from the topics; say where the stores differ.

    After a restore that shows what a backup lacks: rows, files, jobs.
    """
    from confluent_kafka import KafkaException
    from rich.progress import Progress

    from devstack.servers.external import require_reachable
    from processor.backups.comparing import compare
    from processor.backups.sentences import sentences
    from processor.rebuild import rebuild as make_anew
    from runtime.settings import settings
    from runtime.text.remarks import Remarks

    config = settings()
    require_reachable(
        config.model_copy(update={"kafka_bootstrap": config.bootstrap, "elasticsearch_url": config.elasticsearch})
    )
    with Progress(console=Remarks()) as bar:
        task = bar.add_task("Reading the topics", total=None)
        try:
            counts = make_anew(config, lambda done, total: bar.update(task, completed=done, total=total))
            bar.update(task, description="Comparing with Elasticsearch and the storage")
            compared = compare(config)
        except KafkaException as error:
            raise StackError(f"Kafka does not answer: {error}.", UNREACHABLE) from error
    names = ("jobs", "progress", "errors", "unreadable")
    out("Written: " + ", ".join(f"{counts[name]:,} {name}" for name in names))
    for line in sentences(compared.jobs, compared.differences):
        out(line)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}, add_help_option=False)
def bench(
    args: Annotated[list[str] | None, typer.Argument(help="A measurement; none: compare.")] = None,
) -> None:
    """The performance table, measured on a stack of its own."""
    _require("psutil", "bench")
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "bench", *(args or [])])  # noqa: S606


@app.command(hidden=True)
def lock() -> None:
    """Resolve the servers' packages anew and write devstack/servers/packages.lock."""
    from devstack.servers.relock import relock

    out(f"{relock()} packages pinned.")


def _require(module: str, command: str) -> None:
    """Raises StackError where a package of the extra `test` is missing: these commands are of use in a clone alone."""
    if importlib.util.find_spec(module) is None:
        raise StackError(f"{module} is not installed: in a clone, `./sluice {command}` installs it.", USAGE)


def _mount(module: str) -> None:
    """Add another part's commands, where that part is installed."""
    try:
        commands = importlib.import_module(module).app
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise
    else:
        app.add_typer(commands)


for _module in ("devstack.foreground.commands", "sample_csv.cli", "commandline.cli", "kibana.cli"):
    _mount(_module)


def main() -> None:
    """Run the command line."""
    if os.getpid() == 1:  # of a container, which would not hear the signal otherwise
        signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    app(prog_name="sluice")


if __name__ == "__main__":
    main()
