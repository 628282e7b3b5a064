"""Elasticsearch gets a certificate of another authority while a process runs, and the file of authorities follows."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from elastic_transport import AiohttpHttpNode
from elastic_transport import ConnectionError as Unreachable

from api.elastic.answer_limit import LimitedNode
from runtime.clients import async_elasticsearch, elasticsearch
from runtime.settings import Settings

NOW = datetime.datetime.now(datetime.UTC)
PEM = serialization.Encoding.PEM


class Authority:
    """An authority, and a certificate of it for this machine."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self._name, self._key.public_key(), True)

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePublicKey, authority: bool) -> bytes:
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "crl_sign", "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        made = (
            x509.CertificateBuilder(self._name, name, key, x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(NOW + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            made = made.add_extension(x509.KeyUsage(**usage, key_cert_sign=True), critical=True)
        return made.sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def server(self, folder: Path) -> ssl.SSLContext:
        """The context of a server with a certificate of this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file = folder / "server.pem"
        file.write_bytes(private + self._signed(name, key.public_key(), False))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    """A server whose certificate may change; each answer ends its connection."""

    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: object, address: object) -> None:
        try:
            with self.context.wrap_socket(request, server_side=True) as wrapped:  # type: ignore[arg-type]
                self.RequestHandlerClass(wrapped, address, self)
        except OSError:
            pass  # a client that does not trust it


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Answers)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("node", [None, LimitedNode, "once"], ids=str)
def test_an_event_loop_s_client_follows_the_file(
    tmp_path: Path, server: Server, host: str, node: type[AiohttpHttpNode] | str | None
) -> None:
    first, second = Authority("first"), Authority("second")
    file = tmp_path / "ca.crt"
    file.write_bytes(first.certificate)
    settings = Settings(elasticsearch_url=f"https://{host}:{server.server_address[1]}", elasticsearch_ca_file=file)

    async def story() -> None:
        given = {"once": True} if node == "once" else {"node": node}
        client = async_elasticsearch(settings, **given)  # type: ignore[arg-type]
        server.context = first.server(tmp_path)
        await client.info()
        server.context = second.server(tmp_path)
        for written in (first.certificate, b"half a"):
            file.write_bytes(written)
            with pytest.raises(Unreachable) as told:
                await client.info()
            assert "CERTIFICATE_VERIFY_FAILED" in told.value.message
        other = tmp_path / "next"
        other.write_bytes(second.certificate)
        other.replace(file)
        await client.info()
        await client.close()

    asyncio.run(story())


def test_a_blocking_client_follows_the_file(tmp_path: Path, server: Server) -> None:
    first, second = Authority("first"), Authority("second")
    file = tmp_path / "ca.crt"
    file.write_bytes(first.certificate)
    settings = Settings(elasticsearch_url=f"https://localhost:{server.server_address[1]}", elasticsearch_ca_file=file)
    with elasticsearch(settings) as client:
        server.context = first.server(tmp_path)
        client.info()
        server.context = second.server(tmp_path)
        file.write_bytes(second.certificate)
        client.info()


def test_the_name_in_the_certificate_is_checked(tmp_path: Path, server: Server) -> None:
    authority = Authority("one")
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.certificate)
    server.context = authority.server(tmp_path)
    url = f"https://localhost.localdomain:{server.server_address[1]}"

    async def ask() -> None:
        client = async_elasticsearch(Settings(elasticsearch_url=url, elasticsearch_ca_file=file))
        context = next(iter(client.transport.node_pool.all()))._ssl_context  # type: ignore[attr-defined]
        assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
        await client.close()

    asyncio.run(ask())
