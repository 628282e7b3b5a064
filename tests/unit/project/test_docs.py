"""The documentation against the code: settings, links, commands, and what must not stand in any file."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main

from api import access_page
from api.jobs.limits import CONNECTION_LIMITS
from commandline.errors import exit_code_for
from control import states_page
from control.creation import limits_page
from control.moves import VERBS, allowed_states
from devstack.cli import app
from runtime.settings import Settings
from schemas.job import State
from schemas.policies.retention import EXPIRING, Retention
from tests.support.places import ROOT

PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

BESIDE_SETTINGS = {
    *("SLUICE_PYTHON", "SLUICE_VENV", "SLUICE_CACHE"),
    *("SLUICE_TEST_HOME", "SLUICE_TEST_SERVERS", "SLUICE_TEST_IMAGE", "SLUICE_TEST_ROWS"),
}
"""Variables that are read outside of the Settings class."""

DESCRIBED = re.compile(r"^\| `(SLUICE_\w+)` \| (?:`([^`]*)`|\*.*\*) \| .+ \|$", re.MULTILINE)
TODAY = [page for page in PAGES if page.parent.name != "decisions" and page.name != "CHANGELOG.md"]
"""Pages that say what is so now."""
CODE = re.compile(r"`([^`\n]+)`")
OF_OTHERS = {"AsyncElasticsearch"}
"""Classes of libraries that docs/architecture.md names."""
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:\./sluice|^ *sluice|`sluice) ([a-z]+(?:-[a-z]+)*)", re.MULTILINE)

# In halves, so that this file does not hold what it looks for.
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "maven.apache" + ".org", "repo1" + ".maven", "npmjs" + ".")
RIDDLES = (
    "whoever",
    "goodbye",
    "lets? go of",
    "letting go of",
    "errand",
    "wind_up",
    "heard_at",
    r'"""(?:those|that) of ',
    r'"""so (?:long|many|much|often|far|large|old) ',
    r"one (?:worker|process)'s\.",
    r"section \d+ of the design",
)
"""Words that hide who does what; plain ones have replaced them. Regular expressions, without upper case."""
HOME_PATH = re.compile("(?<![a-z0-9.])/" + r"(?:home/[a-z][a-z0-9_-]*|Users/[A-Za-z]\w*|root)/")


def described() -> dict[str, str | None]:
    """Variable -> default, from docs/settings.md; None: the page describes the default in words."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    found = DESCRIBED.findall(text)
    assert len(found) == len({name for name, _ in found}), "a variable is described twice"
    return {name: default or None for name, default in found}


def test_every_setting_is_described_and_nothing_else() -> None:
    fields = {f"SLUICE_{name.upper()}" for name in Settings.model_fields}
    assert set(described()) == fields | BESIDE_SETTINGS


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_described_default_is_the_real_one(name: str) -> None:
    default = Settings.model_fields[name].default
    text = str(default).lower() if isinstance(default, bool) else str(default)
    assert described()[f"SLUICE_{name.upper()}"] == (None if default in (None, "") else text)


def test_the_variables_beside_the_settings_are_read_somewhere() -> None:
    places = [ROOT / "sluice", ROOT / "tests" / "conftest.py", *(ROOT / "devstack").glob("*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in places)
    assert [name for name in sorted(BESIDE_SETTINGS) if name not in code] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert missing == []


def test_decisions_are_listed_and_say_what_has_replaced_them() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text("utf-8")
    for record in sorted(folder.glob("[0-9]*.md")):
        number, text = record.name[:4], record.read_text("utf-8")
        title = text.partition("\n")[0].removeprefix(f"# {number} ")
        assert f"| [{number}]({record.name}) | {title} |" in listed, record.name
        for before in re.findall(r"^(?:This r|R)eplaces [^\n]*?\[(\d{4})\]", text, re.MULTILINE):
            (old,) = folder.glob(f"{before}-*.md")
            assert f"[{number}]({record.name})" in old.read_text("utf-8"), f"{old.name} does not name {record.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_named_exist(page: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {name for name, command in commands.items() if not command.hidden}
    assert set(COMMAND.findall(page.read_text(encoding="utf-8"))) <= known


def test_every_command_is_described() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    missing = [name for name, command in commands.items() if not command.hidden and f"`sluice {name}" not in text]
    assert missing == []


BESIDE = {
    (State.QUEUED, "resume"), (State.PAUSED, "pause"), (State.ROLLBACK_PAUSED, "pause"),
    (State.COMPLETED, "start"), (State.COMPLETED_WITH_ERRORS, "start"), (State.ROLLED_BACK, "rollback"),
}  # fmt: skip
"""Requests that move some jobs in a state: to go on at a time, or at another one; of a dry run; with force."""


def test_the_table_of_states_names_what_can_be_done_in_each() -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z_]+) \| .* \| (.*) \|$", text, re.MULTILINE)
    told = {(State(state), verb) for state, cell in rows for verb in re.findall(r"`([a-z-]+)", cell)}
    assert [state for state, _ in rows] == list(State)
    moves = {(state, verb) for request, verb in VERBS.items() for state in allowed_states(request)}
    assert {(state, verb) for state, verb in told if verb in VERBS.values()} == moves | BESIDE


def test_the_table_of_exit_codes_names_the_refusals_that_scripts_tell_apart() -> None:
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9]+) \| (.*) \|$", text.partition("### Exit codes")[2], re.MULTILINE)
    told = {int(status): int(code) for code, cell in rows for status in re.findall(r"\b(4[0-9]{2})\b", cell)}
    assert {409, 413, 429} <= told.keys()
    assert {status: exit_code_for(status) for status in told} == told


def sources() -> list[Path]:
    folders = [init.parent for init in ROOT.glob("*/__init__.py")]
    return [path for folder in (*folders, ROOT / "tests") for path in folder.rglob("*.py")]


def named_in_code(page: Path, pattern: str) -> list[str]:
    """What a page sets in the type of code, as far as it fits the pattern."""
    return [text for text in CODE.findall(page.read_text(encoding="utf-8")) if re.fullmatch(pattern, text)]


def test_modules_that_docstrings_name_exist() -> None:
    named = {
        (place, str(path.relative_to(ROOT)))
        for path in sources()
        for place in re.findall(r"(?<!`)`([a-z_]+(?:/[a-z_0-9]+)+\.py)`", path.read_text(encoding="utf-8"))
        if (ROOT / place.partition("/")[0]).is_dir()
    }
    assert len(named) > 20, "the pattern finds the names"
    assert [found for found in sorted(named) if not (ROOT / found[0]).exists()] == []


@pytest.mark.parametrize("page", TODAY, ids=lambda page: page.name)
def test_modules_that_are_named_exist(page: Path) -> None:
    modules = named_in_code(page, r"[a-z_]+(/[a-z_0-9]+)+\.py")
    assert [module for module in modules if not (ROOT / module).is_file()] == []


def test_the_map_of_the_code_has_a_line_for_each_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = [init.parent for top in ROOT.glob("*/__init__.py") for init in top.parent.rglob("__init__.py")]
    described = (ROOT / "tests", ROOT / "bench" / "peers")  # in a line each, with all that is in them
    folders = [
        folder.relative_to(ROOT)
        for folder in packages
        if not any(folder.is_relative_to(one) and folder != one for one in described)
    ]
    missing = [str(folder) for folder in folders if f"`{folder}/`" not in text and f"`{folder.name}/`" not in text]
    assert sorted(missing) == []


def classes() -> dict[str, set[str]]:
    """Name of a class -> what it and its bases define: methods, fields, and attributes that methods set. Classes of one
    name are taken together; a name that a module assigns, such as a Literal's, has nothing.
    """
    members: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in sources():
        if path.is_relative_to(ROOT / "tests"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                members.update({target.id: set() for target in node.targets if isinstance(target, ast.Name)})
            if not isinstance(node, ast.ClassDef):
                continue
            bases.setdefault(node.name, set()).update(base.id for base in node.bases if isinstance(base, ast.Name))
            found = members.setdefault(node.name, set())
            for inner in ast.walk(node):
                match inner:
                    case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                        found.add(name)
                    case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                        found.add(name)
                    case _:
                        pass
    for name in members:
        todo, seen = {name}, {name}
        while todo:
            todo = {base for known in todo for base in bases.get(known, ())} - seen
            seen |= todo
        members[name] = set().union(*(members.get(base, set()) for base in seen))
    return members


def test_the_classes_and_methods_that_the_map_of_the_code_names_exist() -> None:
    page = ROOT / "docs" / "architecture.md"
    known = classes()
    named = named_in_code(page, r"_?[A-Z]\w*[a-z]\w*(\.\w+)?(\(\w*\))?")
    assert len(named) > 100, "the pattern finds the names"
    missing = []
    for text in named:
        name, _, member = text.partition("(")[0].partition(".")
        if not (name in OF_OTHERS or (name in known and (not member or member in known[name]))):
            missing.append(text)
    assert missing == []


def test_what_a_newcomer_is_to_change_or_to_run_exists() -> None:
    page = ROOT / "docs" / "how-to-add.md"
    places = named_in_code(page, r"[\w.-]+/[\w./-]*|[\w-]+\.(?:html|md|py|yml)")
    assert [name for name in places if not (ROOT / name.replace("NAME", "people")).exists()] == []
    modules = [text.split()[-1] for text in named_in_code(page, r"python -m [\w.]+")]
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    known = {word for path in sources() for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    names = {text.partition("[")[0] for text in named_in_code(page, r"test_\w+(\[\w+\])?|[A-Z_]{4,}|[A-Z][a-z]+[\w.]*")}
    assert [name for name in sorted(names) if not set(name.split(".")) <= known] == []


def test_no_file_names_a_package_registry_or_a_home_folder() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
    ).stdout.decode()
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found += [f"{name}: {host}" for host in REGISTRIES if host in text]
        found += [f"{name}: {match.group()}" for match in HOME_PATH.finditer(text)]
    assert found == []


def test_the_page_of_states_is_made_of_the_map_of_transitions() -> None:
    assert states_page.PAGE.read_text(encoding="utf-8") == states_page.page(), "python -m control.states_page"


def test_the_table_of_limits_is_made_of_the_code_and_the_page_names_all_of_them() -> None:
    text = limits_page.PAGE.read_text(encoding="utf-8")
    assert limits_page.SECTION.text(text) == limits_page.table(), limits_page.SECTION.command
    for name, _, status, _ in CONNECTION_LIMITS:
        assert f"| `SLUICE_{name.upper()}` | {status} |" in text


def test_the_table_of_stores_has_each_retention_and_its_default() -> None:
    text = (ROOT / "docs" / "retention.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `([\d.]+)` \|", text, re.MULTILINE)
    assert dict(rows) == {name: str(getattr(Retention(), name)) for name in EXPIRING}


def test_the_tables_of_roles_are_made_of_the_routes() -> None:
    text = access_page.PAGE.read_text(encoding="utf-8")
    assert text == access_page.written(text), "python -m api.access_page"


def test_no_word_comes_back_that_hides_who_does_what() -> None:
    modules = [path for path in sources() if path != Path(__file__)]
    riddle = re.compile("|".join(RIDDLES), re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in (*PAGES, *modules)
        for match in riddle.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "name the subject, in the words of docs/glossary.md"
