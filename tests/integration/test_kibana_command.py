"""The command `sluice kibana` as it is started, against a server that answers as Kibana's import does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from devstack.ports import free_port
from kibana.catalog import text
from tests.cluster import ROOT

Json = dict[str, Any]


class Kibana(ThreadingHTTPServer):
    """Takes an import as Kibana's route does: the header, the name of the part, the end of the file's name."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[Json] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, path: str, headers: Any, body: bytes) -> tuple[int, Json]:
        if path != "/api/saved_objects/_import?overwrite=true":
            return 404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"}
        if not headers.get("kbn-xsrf"):
            return 400, {"statusCode": 400, "message": "Request must contain a kbn-xsrf header."}
        mail = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        (part,) = mail.get_payload()
        assert part.get_param("name", header="content-disposition") == "file"
        if not str(part.get_filename()).endswith(".ndjson"):
            return 400, {"statusCode": 400, "message": "Invalid file extension"}
        self.taken = [json.loads(line) for line in part.get_payload(decode=True).decode().splitlines()]
        return 200, {"success": True, "successCount": len(self.taken), "successResults": []}


class Handler(BaseHTTPRequestHandler):
    """A request of the import."""

    server: Kibana

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.server.take(self.path, self.headers, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def kibana() -> Iterator[Kibana]:
    with Kibana() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sluice(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "devstack.cli", *words],
        cwd=ROOT,
        env={**os.environ, "SLUICE_KIBANA_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_sends_every_object(kibana: Kibana) -> None:
    done = sluice(kibana.url, "kibana", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert kibana.taken == [json.loads(line) for line in text().splitlines()]
    assert json.loads(done.stdout)["imported"] == len(kibana.taken)


def test_where_nothing_listens_the_exit_code_is_3() -> None:
    done = sluice(f"http://127.0.0.1:{free_port()}", "kibana")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("sluice: Kibana at http://127.0.0.1:") and "can't be reached" in done.stderr


def test_another_server_is_told_from_kibana(kibana: Kibana) -> None:
    done = sluice(f"{kibana.url}/elsewhere", "kibana")
    assert done.returncode == 2 and "check SLUICE_KIBANA_URL" in done.stderr
