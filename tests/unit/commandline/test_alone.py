"""The client's own distribution: built, and used where there is nothing but what it says it needs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from api import client_types
from client import AsyncSluice, Sluice
from runtime.version import VERSION
from tests.support.api.answers import WHOLE
from tests.support.api.hostile import JOB_ID
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE

CLIENT = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))["project"]
SERVER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PROGRAM = """
import asyncio, sys
from client import AsyncSluice, NotFound, Sluice

url, job_id = sys.argv[1:]
with Sluice(url, "key") as sluice:
    job = sluice.job(job_id)
    assert (job.state, job.progress.rows_applied, sluice.wait(job).ended) == ("COMPLETED", 2, True)
    try:
        sluice.job("none")
    except NotFound as error:
        assert str(error) == "there is no job none"


async def main():
    async with AsyncSluice(url, "key") as sluice:
        assert [event.job.state async for event in sluice.events(job_id)] == ["COMPLETED"]


asyncio.run(main())
foreign = {"starlette", "faust", "elasticsearch", "confluent_kafka", "aiokafka", "pydantic", "typer", "rich", "schemas"}
print(sorted(foreign & {name.partition(".")[0] for name in sys.modules}))
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = JOB_ID in self.path
        body: object = WHOLE if found else {"error": {"code": 404, "message": "there is no job none"}}
        content = json.dumps(body).encode()
        if self.path.endswith("/watch"):
            content = b"id: 1\nevent: state\ndata: " + content + b"\n\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def needed(name: str, found: set[str]) -> set[str]:
    """The distributions that are installed for this one, itself included."""
    if name not in found:
        found.add(name)
        for text in metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed(requirement.name, found)
    return found


def test_the_wheel_works_where_nothing_else_is_installed(tmp_path: Path, api: str) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / "client", check=True, capture_output=True, timeout=PATIENCE)
    (wheel,) = tmp_path.glob("sluice_client-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        packed.extractall(site)
    assert {name.partition("/")[0] for name in names} == {"client", f"sluice_client-{VERSION}.dist-info"}
    assert "client/py.typed" in names
    for distribution in needed("httpx2", set()) | needed("msgspec", set()):
        for file in metadata.files(distribution) or ():
            top = file.parts[0]
            if top != ".." and not (site / top).exists():
                place = Path(str(file.locate()))
                (site / top).symlink_to(place.parents[len(file.parts) - 2] if len(file.parts) > 1 else place)
    begin = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", begin + PROGRAM, api, JOB_ID],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_it_asks_for_what_the_server_asks_for_too() -> None:
    assert CLIENT["version"] == SERVER["version"] == VERSION
    assert set(CLIENT["dependencies"]) <= set(SERVER["dependencies"])
    assert CLIENT["requires-python"] == SERVER["requires-python"]


def test_its_types_are_those_of_the_routes() -> None:
    told = "run `python -m api.client_types`"
    assert client_types.ANSWERS.read_text("utf-8") == client_types.answers(), told
    assert client_types.OPTIONS.read_text("utf-8") == client_types.options(), told


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, object]:
        return {name: getattr(value, "steps", value) for name, value in vars(kind).items() if not name.startswith("_")}

    sync, other = methods(Sluice), methods(AsyncSluice)
    assert sync.pop("close") is not other.pop("close")
    assert sync == other
