"""devstack without processes: backoff, lock file, state file, ports, the arguments Elasticsearch reads."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack import ports
from devstack.errors import StackError
from devstack.layout import Layout, write_atomically
from devstack.lifecycle import status
from devstack.program import Program
from devstack.servers import elasticsearch_launch, lockfile, unprivileged
from devstack.servers.cache import cache_folder
from devstack.servers.disk import require_space
from devstack.servers.lockfile import Package
from devstack.servers.packages import fetch
from devstack.supervision import state
from devstack.supervision.backoff import LONGEST_SECONDS, STEADY_SECONDS, delay_seconds, failures_after
from devstack.supervision.identity import me
from devstack.supervision.processes import last_lines, stand_back, start, stop
from devstack.supervision.state import Addresses, Record, State, Wanted
from tests.support.waiting import wait_until


def test_the_first_start_is_at_once_and_the_pause_doubles() -> None:
    assert [delay_seconds(n) for n in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]


@given(st.integers(min_value=0, max_value=10**6))
def test_the_pause_never_shrinks_and_has_an_end(failures: int) -> None:
    assert delay_seconds(failures) <= delay_seconds(failures + 1) <= LONGEST_SECONDS


def test_a_long_life_starts_the_count_anew() -> None:
    assert failures_after(7, STEADY_SECONDS) == 1
    assert failures_after(7, STEADY_SECONDS - 0.1) == 8


def package(content: bytes, folder: Path, name: str = "thing") -> tuple[Package, Path]:
    import hashlib

    pinned = Package(
        "kafka", "org.example.parts", name, "1.0", "jar", len(content), hashlib.sha256(content).hexdigest()
    )
    path = folder / "maven" / "org" / "example" / "parts" / name / "1.0" / f"{name}-1.0.jar"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return pinned, path


def test_a_lock_file_survives_being_written_and_read(tmp_path: Path) -> None:
    pinned = [package(b"b", tmp_path, "b")[0], package(b"a", tmp_path, "a")[0]]
    assert lockfile.parse(lockfile.render(pinned)) == tuple(sorted(pinned))


def test_the_lock_file_pins_both_servers_and_names_no_host() -> None:
    text = lockfile.LOCK_FILE.read_text(encoding="utf-8")
    assert lockfile.render(lockfile.parse(text)) == text
    assert "://" not in text
    kafka = {entry.artifact: entry.version for entry in lockfile.locked("kafka")}
    assert kafka["kafka_2.13"] == kafka["kafka-clients"] == "4.1.1"
    assert [entry.filename for entry in lockfile.locked("elasticsearch")] == ["elasticsearch-9.2.0.zip"]
    assert all(len(entry.sha256) == 64 for entry in lockfile.locked("kafka", "elasticsearch"))


def test_an_intact_file_is_used_without_the_network(tmp_path: Path) -> None:
    pinned, path = package(b"content", tmp_path)
    assert fetch([pinned], tmp_path) == [path]


@pytest.mark.parametrize("content", [b"changed", b"contents that are longer", b""])
def test_a_changed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    pinned, path = package(b"content", tmp_path)
    path.write_bytes(content)
    with pytest.raises(StackError, match=r"thing-1\.0\.jar.*SHA-256"):
        lockfile.verify(path, pinned)


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned, path = package(b"content", tmp_path)
    path.write_bytes(b"torn")

    def arrive(_package: Package, folder: Path, progress: object) -> Path:
        (folder / "new").write_bytes(b"content")
        return folder / "new"

    monkeypatch.setattr("devstack.servers.packages._jgo_download", arrive)
    fetch([pinned], tmp_path)
    assert path.read_bytes() == b"content"


def test_without_a_network_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned, path = package(b"content", tmp_path)
    path.unlink()

    def fail(*_: object) -> Path:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("devstack.servers.packages._jgo_download", fail)
    with pytest.raises(StackError, match="network") as caught:
        fetch([pinned], tmp_path)
    assert "\n" not in caught.value.message


def test_the_cache_is_where_the_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_CACHE", str(tmp_path / "named"))
    assert cache_folder(tmp_path) == tmp_path / "named"
    monkeypatch.delenv("SLUICE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(tmp_path) == tmp_path / "xdg" / "sluice"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache_folder(tmp_path) == tmp_path / "cache"


ADDRESSES = Addresses("http://127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3")


def record(pid: int | None = None, created: float = 0.0, **more: object) -> Record:
    return Record("worker", 2, "/logs/worker-2.log", "ready", pid, created, **more)  # type: ignore[arg-type]


def test_the_state_survives_being_written_and_read(tmp_path: Path) -> None:
    now = State(1, 2.5, ADDRESSES, Wanted(3), (record(7, 8.25),), prepared=True)
    state.write(tmp_path / "state.json", now)
    assert state.read_state(tmp_path / "state.json") == now
    assert now.record("worker-2") == now.processes[0]
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [None, "", "{", '{"supervisor_pid": "x"}'])
def test_no_state_or_a_broken_one_is_none(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "state.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    assert state.read_state(file) is None


def test_an_unprepared_stack_is_not_ready() -> None:
    assert not State(1, 2.5, ADDRESSES, Wanted()).ready
    assert State(1, 2.5, ADDRESSES, Wanted(), prepared=True).ready


def test_a_process_stands_back_as_far_as_its_program_says(tmp_path: Path) -> None:
    program = Program("ingest", 1, ("sleep", "60"), os.environ, tmp_path / "log", lambda: True, niceness=15)
    running = start(program, tmp_path)
    try:
        assert psutil.Process(running.identity.pid).nice() == os.nice(0), "until it is ready"
        session = Path(f"/proc/{running.identity.pid}/autogroup")

        def stands_back() -> bool:  # Linux takes the niceness of a session only ten times a second
            stand_back(running, program.niceness)
            grouped = session.exists() and session.read_text().split()
            return psutil.Process(running.identity.pid).nice() == 15 and (not grouped or grouped[-1] == "15")

        wait_until(stands_back, "the process and its session stand back")
    finally:
        stop([(running, 5.0)])


def test_status_lists_only_what_runs() -> None:
    mine = me()
    text = status.as_json(ADDRESSES, (record(mine.pid, mine.created), record(mine.pid, 1.0), record()))
    assert text.count('"role": "worker"') == 1
    assert status.in_words(record(mine.pid, mine.created, restarts=2)) == "ready, restarted 2x"
    assert status.in_words(record(error="it ended with exit code 1")) == "stopped (it ended with exit code 1)"


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.socket() as listener:
        listener.bind((ports.HOST, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.is_open(port)
        with pytest.raises(StackError, match=rf"Port {port}, where Kafka.*SLUICE_KAFKA_PORT"):
            ports.require_free(port, "Kafka", "SLUICE_KAFKA_PORT")
    ports.require_free(port, "Kafka", "SLUICE_KAFKA_PORT")


def test_a_port_is_remembered_until_it_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    port = ports.remembered_port(file, "a")
    other = ports.remembered_port(file, "b")
    assert (ports.remembered_port(file, "a"), ports.remembered_port(file, "b")) == (port, other)
    with socket.socket() as listener:
        listener.bind((ports.HOST, port))
        listener.listen()
        assert ports.remembered_port(file, "a") != port


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    require_space(tmp_path, least_bytes=1)
    with pytest.raises(StackError, match="GiB are free"):
        require_space(tmp_path, least_bytes=2**60)


def test_a_home_gets_its_folders_and_a_key_of_its_own(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "home")
    layout.prepare()
    key = layout.admin_key.read_text(encoding="utf-8")
    layout.prepare()
    assert layout.admin_key.read_text(encoding="utf-8") == key
    assert len(key.strip()) >= 43
    assert stat.S_IMODE(layout.admin_key.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o2775])
def test_a_folder_that_is_there_keeps_its_mode_as_a_home(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    Layout(tmp_path).prepare()
    made = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o777 for path in tmp_path.iterdir()}
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    assert made == {"run": 0o700, "logs": 0o700, "kafka": 0o700, "admin.key": 0o600}
    Layout(tmp_path / "made" / "home").prepare()
    assert stat.S_IMODE((tmp_path / "made" / "home").stat().st_mode) & 0o777 == 0o700


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(StackError, match="SLUICE_HOME"):
        Layout(tmp_path / "home").prepare()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "new"


def test_a_closed_folder_keeps_other_users_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not unprivileged.reaches(tmp_path, os.getuid() + 1)
    assert not unprivileged.reaches(tmp_path / "missing", os.getuid() + 1)
    assert unprivileged.reaches(Path("/"), os.getuid() + 1)


def test_the_end_of_a_log_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert "(empty)" in last_lines(log)
    log.write_text("".join(f"line {n}\n" for n in range(5000)), encoding="utf-8")
    assert last_lines(log, 2).split() == ["line", "4998", "line", "4999"]


def test_elasticsearch_reads_its_arguments_as_its_launcher_writes_them() -> None:
    written = elasticsearch_launch.server_arguments({"b": "x" * 200, "a": "é"}, Path("/c"), Path("/l"))
    keystore = b"org.elasticsearch.common.settings.KeyStoreWrapper"
    assert written == (
        b"\0\0\0"
        + bytes([len(keystore)])
        + keystore
        + b"\0\0\0\x07\0\0\0\0"
        + b"\x02\x01a\0\x01\xc3\xa9"
        + (b"\x01b\0\xc8\x01" + b"x" * 200)
        + b"\x02/c\x02/l"
    )
