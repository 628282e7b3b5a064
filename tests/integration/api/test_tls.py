"""The API over TLS by its settings, and the command line that trusts the authority that it is told."""

from __future__ import annotations

import datetime
import ipaddress
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from api.web.connection_timeouts import Limits
from api.web.connections import BoundedConfig, BoundedServer
from devstack.layout import Layout
from devstack.ports import free_port
from runtime.settings import Settings
from tests.support.api.stub import stub
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE, wait_until


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key; it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sluice")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "api.pem", folder / "api.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    return cert_file, key_file


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Settings]:
    cert, key = certificate(tmp_path)
    settings = Settings(api_port=free_port(), api_tls_cert_file=cert, api_tls_key_file=key)
    app, _ = stub(tmp_path)
    config = BoundedConfig(
        app, Limits.of(settings), host="127.0.0.1", port=settings.api_port, log_config=None,
        ssl_certfile=settings.api_tls_cert_file, ssl_keyfile=settings.api_tls_key_file,
    )  # fmt: skip
    server = BoundedServer(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server has started")
    yield settings
    server.should_exit = True
    thread.join(PATIENCE)


def jobs(settings: Settings, **variables: str) -> subprocess.CompletedProcess[str]:
    """`sluice jobs`, with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return subprocess.run(
        [sys.executable, "-m", "devstack.cli", "jobs"], cwd=ROOT, capture_output=True, text=True,
        env={**environment, "SLUICE_API_URL": settings.api, "SLUICE_HOME": "/none", **variables},
    )  # fmt: skip


def test_the_command_line_trusts_the_authority_that_it_is_told_and_no_other(secured: Settings) -> None:
    assert secured.api.startswith("https://")
    told = jobs(secured, SLUICE_API_CA_FILE=str(secured.api_tls_cert_file))
    assert (told.returncode, told.stdout) == (0, "There are no jobs yet.\n"), told.stderr
    strange = jobs(secured)
    assert (strange.returncode, "certificate" in strange.stderr.lower()) == (3, True), strange.stderr
    wrong = jobs(secured, SLUICE_API_CA_FILE="/none.pem")
    assert (wrong.returncode, "SLUICE_API_CA_FILE" in wrong.stderr) == (2, True), wrong.stderr
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(secured.api.replace("https", "http") + "/healthz", trust_env=False, timeout=PATIENCE)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    for one in ({"api_tls_cert_file": cert}, {"api_tls_key_file": key}):
        with pytest.raises(ValidationError, match="give both, or neither"):
            Settings(**one)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_home_and_its_files_are_their_users_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    code = (
        "from runtime.privacy import keep_files_private as keep; from pathlib import Path; import sys; "
        "home = Path(sys.argv[1]); keep(); (home / 'folder').mkdir(); (home / 'folder' / 'file').write_text('x')"
    )
    subprocess.run([sys.executable, "-c", code, str(home)], cwd=ROOT, check=True, umask=umask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))}
    assert modes == {"home": 0o755, "folder": 0o700, "file": 0o600}, "a folder of the user's keeps its mode"
    before = os.umask(umask)
    try:
        Layout(tmp_path / "made").prepare()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "made" / "admin.key").stat().st_mode) == 0o600
