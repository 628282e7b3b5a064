"""`sluice sample`: what it writes and where, and what it says to a wrong usage."""

import csv
import io
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sample_csv import cli
from sample_csv.cli import app
from sample_csv.datasets import Dataset
from sample_csv.output import open_output
from sample_csv.rows import generate_bytes
from tests.support.places import ROOT

runner = CliRunner()


def said(output: str) -> str:
    """Without the colours, frame and line breaks that rich puts around a message."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return " ".join(re.sub("[╭╮╰╯─│]", " ", plain).split())


def test_rows_go_to_standard_output() -> None:
    for arguments in (["people", "5"], ["people", "5", "-o", "-"]):
        result = runner.invoke(app, arguments)
        assert result.exit_code == 0
        assert result.stdout_bytes == generate_bytes(Dataset.PEOPLE, 5)
        assert said(result.stderr).startswith("Wrote standard output: 5 people")


def test_rows_go_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "teams.csv"
    path.write_text("what was there before")
    result = runner.invoke(app, ["teams", "SMALL", "-o", str(path), "--seed", "9"])
    assert result.exit_code == 0
    assert path.read_bytes() == generate_bytes(Dataset.TEAMS, 1_000, seed=9)
    assert list(tmp_path.iterdir()) == [path]
    assert result.stdout == ""
    assert "1,000 teams" in result.stderr
    assert str(path) in result.stderr


def test_the_start_is_the_first_day(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    assert runner.invoke(app, ["people", "50", "-o", str(path), "--start", "2020-02-29"]).exit_code == 0
    assert path.read_bytes() == generate_bytes(Dataset.PEOPLE, 50, start=date(2020, 2, 29))


def test_people_come_in_the_style_of_old_files_too(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    assert runner.invoke(app, ["people", "500", "-o", str(path), "--style", "legacy"]).exit_code == 0
    old = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    new = list(csv.DictReader(io.StringIO(generate_bytes(Dataset.PEOPLE, 500).decode(), newline="")))
    assert list(old[0]) == ["Name", "Email", "Favorite Color", "Phone number", "Country"]
    fields = ("name", "email", "favorite_color", "phone", "country")
    assert [list(row.values()) for row in old] == [[row[name] for name in fields] for row in new]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["teams", "5", "--style", "legacy"], "only people have the style legacy"),
        (["people", "tiny"], "'tiny' is not a number of rows: give a whole number"),
        (["people", "1.5"], "'1.5' is not a number of rows"),
        (["people"], "ROWS"),
        (["cars", "5"], "'cars' is not one of 'people', 'teams'"),
        (["people", "5", "--seed", "-1"], "--seed"),
        (["people", "5", "--seed", "x"], "--seed"),
        (["people", "5", "--start", "2026-13-01"], "'2026-13-01' does not match"),
        (["people", "5", "--start", "9999-01-01"], "is too late"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments: list[str], sentence: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert sentence in said(result.stderr)
    assert result.stdout == ""


def test_a_file_that_cannot_be_there_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name, sentence in (("folder", "is a folder"), ("no/such.csv", "the folder no does not exist")):
        result = runner.invoke(app, ["people", "5", "-o", name])
        assert result.exit_code == 1
        assert sentence in said(result.stderr)


def test_an_interrupted_run_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.csv"
    path.write_text("what was there before")
    with pytest.raises(KeyboardInterrupt), open_output(path) as stream:
        stream.write(b"half a ro")
        raise KeyboardInterrupt
    assert path.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_told_in_a_sentence() -> None:
    result = runner.invoke(app, ["people", "5", "-o", "/dev/full"])
    assert result.exit_code == 1
    assert said(result.stderr) == "Cannot write /dev/full: No space left on device."


def test_another_command_line_can_mount_it() -> None:
    added, named = typer.Typer(), typer.Typer()
    added.add_typer(app)
    named.command("sample")(cli.sample)
    for parent in (added, named):
        parent.command("other")(lambda: None)
        result = runner.invoke(parent, ["sample", "people", "3"])
        assert result.exit_code == 0
        assert result.stdout_bytes == generate_bytes(Dataset.PEOPLE, 3)


def test_it_runs_as_a_module_with_the_same_bytes_for_any_hash_seed_and_locale() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "123", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "sample_csv", "people", "300"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout == generate_bytes(Dataset.PEOPLE, 300)
