"""A server that answers as Kibana's import does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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


@contextmanager
def kibana_stub() -> Iterator[Kibana]:
    """One that runs."""
    with Kibana() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
