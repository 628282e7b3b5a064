"""The comparison with other ways: what is told of each, and how its programs are talked to. No server."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from bench.__main__ import app, completed, everything
from bench.compare import results, table, ways
from bench.compare.environments import PEERS
from bench.compare.peer_process import ROOT, PeerError, PeerProcess
from bench.compare.results import Comparison, Machine, Measured, Run, WayResult
from bench.readme import SECTION
from runtime.text.markdown import END, MadeSection

ROWS = 1000
MACHINE = Machine(
    processor="A processor",
    cores=2,
    memory_gigabytes=24,
    python="3.11.7",
    load=0.1,
    versions={"Elasticsearch": "9.2.0"},
)


def measured(seconds: list[float], rows: int = ROWS) -> Measured:
    cpu = {"own": 0.002, "elasticsearch": 0.02, "kafka": 0.001}
    return Measured(rows=rows, runs=[Run(seconds=value, cpu_seconds=cpu, rows_counted=rows) for value in seconds])


def comparison() -> Comparison:
    return Comparison(
        date="2026-11-28T22:15:00+00:00",
        machine=MACHINE,
        rows=ROWS,
        rounds=3,
        minutes=10,
        ways=[
            WayResult(name="sluice", title="Sluice, an upload", source="file", sizes=[measured([0.1, 0.3, 0.2])]),
            WayResult(name="celery", title="Celery", source="file", sizes=[measured([0.4])]),
            WayResult(name="vector", title="Vector", source="file", unavailable="is no package"),
        ],
    )


def test_a_table_has_medians_ratios_and_the_reasons_of_those_without_figures() -> None:
    text = table.markdown(comparison())
    assert "2026-11-28, A processor, 2 cores, 24 GB" in text
    assert "| **Sluice, an upload** | **5,000** | **1.00** | **2.0** | **20.0** | **1.0** |" in text
    assert "| Celery | 2,500 | 0.50 | 2.0 | 20.0 | 1.0 |" in text
    assert "- Vector: is no package." in text
    assert "Vector" not in table.short_markdown(comparison())
    assert any("is no package" in line for line in table.console(comparison()))


def test_a_comparison_is_the_same_after_its_file(tmp_path: Path) -> None:
    results.write(comparison(), tmp_path / "file.json")
    assert results.read(tmp_path / "file.json") == comparison()


def test_a_page_keeps_what_stands_around_the_marks() -> None:
    one, other = MadeSection("one", "make it"), MadeSection("other", "make it")
    page = f"before\n{one.begin}\nold\n{END}\nbetween\n{other.begin}\nolder\n{END}\nafter\n"
    assert one.put(page, "new") == page.replace("\nold\n", "\n\nnew\n\n")
    assert other.put(page, "new") == page.replace("\nolder\n", "\n\nnew\n\n")
    assert one.put(one.put(page, "new"), "newer") == one.put(page, "newer")
    assert (one.text(page), other.text(page)) == ("old", "older")
    for wrong in ("", one.begin, f"{END}\n{one.begin}", f"{one.begin}\n{one.begin}\n{END}"):
        with pytest.raises(ValueError, match="the page must have"):
            one.put(wrong, "new")


def test_both_pages_have_the_comparison() -> None:
    for page in ("README.md", "docs/performance.md"):
        assert SECTION.text((ROOT / page).read_text(encoding="utf-8"))


def test_without_a_measurement_it_is_the_comparison() -> None:
    assert completed([]) == ["compare"]
    assert completed(["--rows", "5"]) == ["compare", "--rows", "5"]
    assert completed(["celery", "--rows", "5"]) == ["compare", "celery", "--rows", "5"]
    assert completed(["upload", "--rows", "5"]) == ["upload", "--rows", "5"]
    assert completed(["--help"]) == ["--help"]


def test_ways_are_chosen_by_name_and_sluice_is_among_them() -> None:
    assert [way.name for way in ways.chosen(["celery"])] == ["sluice", "celery"]
    assert ways.chosen([]) == tuple(ways.WAYS)
    with pytest.raises(ValueError, match=r"celeri: the ways are aiokafka.*celery"):
        ways.chosen(["celeri"])


def test_packages_of_peers_are_pinned_by_hashes() -> None:
    files = list(PEERS.glob("*/requirements.txt"))
    assert {file.parent.name for file in files} == {file.parent.name for file in PEERS.glob("*/requirements.in")}
    for file in files:
        pins = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith(" ")]
        assert pins and all("==" in line and line.endswith("\\") for line in pins), file


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A module that serves runs: its seconds are the rows asked for, none is an error, fewer end it."""
    (tmp_path / "a_peer.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from bench.peers.protocol import serve\n"
        "def prepare(request):\n"
        "    print('this goes to the log')\n"
        "    if request['rows'] < 0: sys.exit('it gives up')\n"
        "    return lambda: 1 / (1 / request['rows'])\n"
        "serve(prepare)\n",
        encoding="utf-8",
    )
    return tmp_path


def test_a_peer_runs_again_and_again_and_its_errors_are_its_own_words(programs: Path) -> None:
    python = Path(sys.executable)
    process = PeerProcess(python, "a_peer", (), {}, programs / "log", programs)
    try:
        for rows in (2, 4):
            process.prepare({"rows": rows})
            assert process.go() == rows
        assert process.cpu_seconds() > 0
        process.prepare({"rows": 0})
        with pytest.raises(PeerError, match="ZeroDivisionError"):
            process.go()
        with pytest.raises(PeerError, match="it gives up"):
            process.prepare({"rows": -1})
        assert "this goes to the log" in (programs / "log").read_text(encoding="utf-8")
    finally:
        process.end()


def test_the_docs_name_each_measurement_there_is() -> None:
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    readme = set(
        re.findall(r"^    \./sluice bench (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    (row,) = re.findall(r"`sluice bench (\S+)`", (ROOT / "docs" / "operating.md").read_text(encoding="utf-8"))
    assert readme == names - {"compare"} == set(row.split("\\|"))
    measured = set(re.findall(r"^    (\w+)\(", inspect.getsource(everything), re.MULTILINE))
    assert measured == names - {"all", "growth", "capacity"}, "the README says so of `all`"
