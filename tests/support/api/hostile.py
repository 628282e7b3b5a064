"""Requests that try to harm the API: the table `KINDS`, a line for each kind, and the client that sends them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

KEY: Final = "secret"
"""The admin's API key, which most requests send, to get past authentication."""
_ANSWER_SECONDS = 30.0
_HEADER = b"name,email,phone,country,favorite_color,created_at\n"

Places = Mapping[str, str]
"""Name -> the id of a job or the path of a file that the test has made."""
Bytes = Callable[[int, Places], bytes]
"""The bytes that the n-th connection of a kind sends."""


@dataclass(frozen=True)
class Kind:
    """Connections that all behave alike."""

    name: str
    bytes: Bytes
    connections: int = 40
    at_once: int = 10
    reads: str = "answer"
    """``answer``: the client reads the answer to its end; ``nothing``: it reads nothing until the API closes the
    connection; ``leaves``: it closes the connection as soon as it has sent everything; ``stays``: it reads, and sends no
    complete request, until the API closes the connection."""
    drip_seconds: float = 0.0
    """The client sends one more byte after each such interval; 0: none."""


def request(
    method: str = "GET",
    path: str = "/v1/jobs",
    headers: Mapping[str, str | bytes] | None = None,
    body: bytes | None = None,
    key: bool = True,
) -> bytes:
    """A minimal request, as bytes; strings are encoded in latin-1."""
    given: dict[str, str | bytes] = {"Host": "localhost", "Connection": "close"}
    if key:
        given["X-API-Key"] = KEY
    if body is not None:
        given["Content-Length"] = str(len(body))
    given |= headers or {}
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1")]
    lines += [
        name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in given.items()
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def _form(*parts: bytes, boundary: str = "X", path: str = "/v1/jobs") -> bytes:
    body = b"".join(b"--X\r\n" + part + b"\r\n" for part in parts) + b"--X--\r\n"
    return request("POST", path, {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body)


def _job(**more: Any) -> bytes:
    return json.dumps({"operation": "upload", "dataset": "people", **more}).encode()


def _upload(file: bytes) -> bytes:
    job = b'Content-Disposition: form-data; name="job"\r\n\r\n' + _job()
    return _form(job, b'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + file)


def _json(body: bytes, path: str = "/v1/jobs", method: str = "POST") -> bytes:
    return request(method, path, {"Content-Type": "application/json"}, body)


def _chunked(chunks: bytes) -> bytes:
    return request("POST", "/v1/jobs", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}) + chunks


def _retry(file: bytes, places: Places) -> bytes:
    return request("POST", f"/v1/jobs/{places['errors']}/retry-errors", {"Content-Type": "text/csv"}, file)


def _named(file: str) -> bytes:
    return _json(_job(file=file))


def _many(number: int, *different: bytes) -> bytes:
    return different[number % len(different)]


METHODS = ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PATCH", "DELETE", "PROPFIND", "GET")

KINDS: Final = [
    # labels of metrics, lines of logs
    Kind("made-up methods", lambda n, _: request(f"M{n}", "/healthz"), 500, 50),
    Kind("made-up paths", lambda n, _: request("GET", f"/v1/{n}/jobs"), 300, 50),
    Kind("methods", lambda n, at: request(METHODS[n % 8], f"/v1/jobs/{at['one']}"), 40),
    # heads
    Kind("a cookie to be unquoted", lambda n, _: request("GET", "/", {"Cookie": 'a="' + "\\\\" * 15_000 + '"'}, key=False)),
    Kind("very many cookies", lambda n, _: request("GET", "/", {"Cookie": "sluice_session=1.2;" * 1600}, key=False)),
    Kind("a session that ends late", lambda n, _: request("GET", "/", {"Cookie": "sluice_session=" + "9" * 30_000})),
    Kind("very many headers", lambda n, _: request("GET", "/v1/jobs", {f"h{i}": "" for i in range(5000)})),
    Kind("a head too long", lambda n, _: request("GET", "/v1/jobs", {"X": "x" * 300_000})),
    Kind("a head without an end", lambda n, _: b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000),
    Kind("a long path", lambda n, _: request("GET", "/v1/jobs/" + "a" * 30_000)),
    Kind("odd paths", lambda n, at: request("GET", "/v1/jobs/" + _ODD_PATHS[n % len(_ODD_PATHS)])),
    Kind("odd pages", lambda n, at: request("GET", "/jobs/" + _ODD_PATHS[n % len(_ODD_PATHS)], key=False)),
    Kind("odd hosts", lambda n, _: request("GET", ("/", "/x", "/jobs", "/v1/jobs")[n % 4], {"Host": _ODD_HOSTS[n // 4 % len(_ODD_HOSTS)], "Accept": "text/html"})),
    Kind("odd bytes", lambda n, _: _many(n, b"\x00\xff\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\nHost: a\r\nConnection: close\r\n\r\n", b"\r\n" * 50_000)),
    Kind("odd header bytes", lambda n, _: request("GET", "/", {"X-API-Key": bytes(range(128, 256)), "Accept": b"\xff", "HX-Request": b"\xe9", "Origin": "http://[", "Cookie": b"sluice_session=\xe9.\xff"}, key=False)),
    Kind("an upgrade", lambda n, _: request("GET", "/v1/jobs", {"Upgrade": "websocket", "Connection": "close, upgrade"})),
    Kind("an odd Expect", lambda n, _: request("POST", "/v1/jobs", {"Expect": ("100-continue", "2-x")[n % 2], "Content-Length": "0"})),
    Kind("a content type of semicolons", lambda n, _: request("POST", "/v1/jobs", {"Content-Type": "multipart/form-data" + ";" * 30_000}, b"x")),
    Kind("an unknown charset", lambda n, _: request("POST", "/sign-in", {"Content-Type": "application/x-www-form-urlencoded; charset=x-y", "Sec-Fetch-Site": "same-origin"}, b"key=\xff\xfe", key=False)),
    Kind("an odd Idempotency-Key", lambda n, _: request("POST", "/v1/jobs", {"Idempotency-Key": (b"\xff" * 200, b"k" * 30_000, b"")[n % 3], "Content-Type": "application/json"}, b"{}")),
    Kind("two lengths", lambda n, _: request("POST", "/v1/jobs", {"content-length": "1", "Content-Length": "2"}, b"{}")),
    Kind("a length of very many digits", lambda n, _: request("POST", "/v1/jobs", {"Content-Length": "9" * 6000})),
    Kind("Range, of very many digits", lambda n, at: request("GET", f"/v1/jobs/{at['export']}/result", {"Range": _many(n, b"bytes=" + b"9" * 6000 + b"-", b"bytes=0-" + b"9" * 6000, b"bytes=-" + b"9" * 6000, "bytes=\u00b2-".encode("latin-1")), "If-Range": '"' + "x" * 9000})),
    Kind("If-None-Match, of very many tags", lambda n, at: request("GET", f"/v1/jobs/{at['export']}/result", {"If-None-Match": "," * 30_000})),
    # queries
    Kind("a query of separators", lambda n, _: request("GET", "/v1/jobs?" + "state=running&" * 2000)),
    Kind("a query of commas", lambda n, _: request("GET", "/v1/jobs?organisation=" + "a," * 15_000)),
    Kind("numbers of very many digits", lambda n, at: request("GET", "/v1/jobs" + _many(n, b"?limit=", f"/{at['one']}/errors?after=".encode(), b"?after=", f"/{at['one']}/errors?limit=-".encode()).decode() + "9" * 6000)),
    Kind("a wait without an end", lambda n, at: request("POST", f"/v1/jobs/{at['one']}/pause?wait=" + ("9" * 6000, "nan", "1e999")[n % 3], body=b"")),
    # bodies
    Kind("JSON, nested deeply", lambda n, _: _json(_many(n, b"[" * 60_000, b'{"options":' * 5000, b'{"operation":' + b"[" * 50_000))),
    Kind("JSON, odd numbers", lambda n, at: _json(b'{"rows_per_second":' + (b"9" * 60_000, b"1e400", b"-0", b"1e-400")[n % 4] + b"}", f"/v1/jobs/{at['one']}/rate", "PUT")),
    Kind("a body of nothing but bytes", lambda n, at: _json(bytes(range(256)) * 250, f"/v1/jobs/{at['one']}/pause")),
    Kind("chunks of one byte", lambda n, _: _chunked(b"1\r\n \r\n" * 10_000 + b"0\r\n\r\n")),
    Kind("chunks of nonsense", lambda n, _: _chunked(_many(n, b"zz\r\n", b"-1\r\n", b"f" * 100 + b"\r\n", b"1;" + b"x" * 100_000, b"0\r\n" + b"a:b\r\n" * 20_000))),
    Kind("very many requests in one go", lambda n, _: request("GET", "/healthz", {"Connection": "keep-alive"}) * 300 + request(), 20),
    Kind("very many parts", lambda n, _: _form(*[b'Content-Disposition: form-data; name="a"\r\n\r\n'] * 5000, path=("/v1/jobs", "/start/upload")[n % 2])),
    Kind("a part with a giant header", lambda n, _: _form(b"X: " + b"x" * 1_000_000 + b"\r\n\r\n")),
    Kind("a form of a giant boundary", lambda n, _: _form(b"", boundary="x" * 20_000)),
    Kind("a form of line ends", lambda n, _: _form(b'Content-Disposition: form-data; name="job"\r\n\r\n' + b"\r\n-" * 20_000)),
    Kind("a file's header of commas", lambda n, _: _upload(b"," * 64_000 + b"\n")),
    Kind("a file's header of quotes", lambda n, _: _upload(_many(n, b'"' * 64_000, b'"a",' * 16_000, b";" * 64_000, b"\n" * 64_000, b"\t" * 70_000))),
    Kind("a file's header of names", lambda n, _: _upload(b",".join(b"n%d" % i for i in range(9000)) + b"\n")),
    Kind("corrected rows, of very many digits", lambda n, at: _retry(_HEADER[:-1] + b",sluice_row\n" + b"a,b,c,d,e,f," + b"9" * 6000 + b"\n", at)),
    Kind("corrected rows, of commas", lambda n, at: _retry(b"," * 64_000 + b"\n", at)),
    # much to answer
    Kind("all jobs", lambda n, _: request("GET", _many(n, b"/v1/jobs?limit=1000", b"/v1/stats", b"/metrics", b"/v1/jobs?organisation=none").decode()), 80, 40),
    Kind("the page of all jobs", lambda n, _: request("GET", "/v1/jobs?limit=20"), 80, 40),
    Kind("readiness", lambda n, _: request("GET", "/readyz", key=False), 200, 100),
    Kind("the API's description", lambda n, _: request("GET", "/openapi.json", key=False), 100, 50),
    Kind("row errors of long rows", lambda n, at: request("GET", f"/v1/jobs/{at['errors']}/errors?limit=1000"), 12, 6),
    Kind("row errors of long rows, as CSV", lambda n, at: request("GET", f"/v1/jobs/{at['errors']}/errors.csv"), 8, 4),
    Kind("a preview of long rows", lambda n, at: request("GET", f"/v1/jobs/{at['dry']}/preview"), 10, 5),
    Kind("a long history", lambda n, at: request("GET", f"/v1/jobs/{at['one']}/history"), 10, 10),
    # time
    Kind("connections that say nothing", lambda n, _: b"", 200, 200, reads="stays"),
    Kind("more connections than there is room for", lambda n, _: b"GET", 500, 500, reads="stays"),
    Kind("half a head", lambda n, _: b"GET / HTTP/1.1\r\nHost:", 60, 60, reads="stays"),
    Kind("a head, a byte now and then", lambda n, _: b"GET / HTTP/1.1\r\nX:", 60, 60, reads="stays", drip_seconds=0.5),
    Kind("half a body", lambda n, _: request("POST", "/v1/jobs", {"Content-Length": "1000", "Content-Type": "application/json"}) + b"{", 60, 60, reads="stays"),
    Kind("a body, a byte now and then", lambda n, _: request("POST", "/v1/jobs", {"Content-Length": "1000", "Content-Type": "application/json"}), 60, 60, reads="stays", drip_seconds=0.5),
    Kind("half a file", lambda n, _: request("POST", "/v1/jobs", {"Content-Length": "9000000", "Content-Type": "multipart/form-data; boundary=X"}) + _upload(b"x" * 3_000_000).partition(b"\r\n\r\n")[2][:2_000_000], 20, 20, reads="stays"),
    Kind("a body after its answer, a byte now and then", lambda n, _: request("POST", "/v1/jobs", {"Content-Length": "1000", "Connection": "keep-alive"}, key=False), 60, 60, reads="stays", drip_seconds=0.5),
    Kind("answers that nobody reads", lambda n, at: request("GET", f"/v1/jobs/{at['export']}/result", {"Connection": "keep-alive"}) * 20, 20, 20, reads="nothing"),
    Kind("CSV that nobody reads", lambda n, at: request("GET", f"/v1/jobs/{at['errors']}/errors.csv"), 10, 10, reads="nothing"),
    Kind("a named file of 20 GB", lambda n, at: _named(at["large"]), 100, 100, reads="leaves"),
    Kind("a named file with a wrong header", lambda n, at: _named(at["wrong"]), 40, 40),
    Kind("a named file that is none", lambda n, at: _named(_many(n, at["pipe"].encode(), b"/dev/zero", b"/dev/stdin", b"x" * 50_000, b"\\u0000", at["folder"].encode()).decode()), 40, 40),
]  # fmt: skip

_ODD_PATHS = ("%00", "%ff%fe", "%2e%2e%2f%2e%2e%2fetc", "..%2f..", "%2F%2F", "a%0d%0ab", "%", "%zz", "%F0%9F%98%80", "?" * 500, "a%ED%A0%80")  # fmt: skip
_ODD_HOSTS = ("[", "[::1", "a b", "", "a" * 9000, "\xff\xe9", "localhost:99999999", "user@host:x", "\u2488.com".encode().decode("latin-1"))  # fmt: skip


async def send(port: int, kind: Kind, places: Places, timeout: float = _ANSWER_SECONDS) -> Counter[str]:
    """Open all connections of a kind; returns how often each outcome came: an HTTP code, ``closed`` without an answer,
    ``open`` after `timeout` seconds, ``left``."""
    found: Counter[str] = Counter()
    waiting = iter(range(kind.connections))

    async def some() -> None:
        for number in waiting:
            found[await _one(port, kind, kind.bytes(number, places), timeout)] += 1

    await asyncio.gather(*(some() for _ in range(kind.at_once)))
    return found


async def _one(port: int, kind: Kind, data: bytes, timeout: float) -> str:
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "closed"
    answer = bytearray()
    dripping = asyncio.create_task(_drip(writer, kind.drip_seconds)) if kind.drip_seconds else None
    try:
        async with asyncio.timeout(timeout):
            writer.write(data)
            if kind.reads == "leaves":
                await writer.drain()
                await asyncio.sleep(0.3)
                return "left"
            if kind.reads == "nothing":
                await _until_cut(writer)
                return "closed"
            while part := await reader.read(65536):
                answer += part[:1000] if not answer else b""
    except TimeoutError:
        return "open"
    except OSError:
        pass  # the API closed it; an answer that came before counts
    finally:
        if dripping is not None:
            dripping.cancel()
        writer.transport.abort()
    first = bytes(answer[:13]).split(b" ")
    return first[1][:3].decode("latin-1") if len(first) > 1 else "closed"


async def _drip(writer: asyncio.StreamWriter, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        writer.write(b"a")


async def _until_cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    while True:
        await asyncio.sleep(0.2)
        writer.write(b"\r\n")
        await writer.drain()
        if writer.transport.is_closing():
            return


JOB_ID = "01JABCDEFGHJKMNPQRSTVWXYZ0"


ESCAPE = "\x1b[31mred\x07\u202e"


JOB: dict[str, Any] = {
    "id": JOB_ID, "operation": "upload", "dataset": "people", "organisation": "acme", "created_by": "admin",
    "state": "COMPLETED", "phase": "apply", "epoch": 1, "budget": "open", "reason": None,
    "options": {"dry_run": True, "if_busy": "refuse"},
    "progress": {
        "rows_total": 3, "rows_read": 3, "rows_applied": 2, "rows_failed": 1, "rows_rolled_back": 0, "percent": 100.0,
        "rows_per_second": 10.0, "eta_seconds": 1,
    },
    "lanes": [
        {"partition": 0, "applied_rows": 2, "undone_rows": 0, "parked_blocks": 0, "last_offset": 7, "error": None}
    ],
    "created_at": "2026-01-01T12:00:00.000Z", "started_at": None, "ended_at": None,
    "source": {"kind": "upload", "name": "people.csv", "bytes": 10, "sha256": None, "lines": 4},
    "date_from": None, "date_till": None, "waiting_for": None,
}  # fmt: skip
