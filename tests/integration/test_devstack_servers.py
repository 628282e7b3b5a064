"""A supervised stack of stand-ins, over crashes."""

from __future__ import annotations

import os
import signal
import textwrap
from pathlib import Path

import pytest

from devstack.ephemeral import Servers
from devstack.errors import StackError
from devstack.layout import Layout
from devstack.lifecycle import shutdown, startup, status
from devstack.ports import free_port
from devstack.supervision import processes, state
from devstack.supervision.state import Record
from runtime.settings import Settings
from tests.support.waiting import wait_until

READY_AT_ONCE = """
    import os, pathlib, time
    pathlib.Path(os.environ["SLUICE_READY_FILE"]).touch()
    time.sleep(900)
    """
STAND_INS = {
    "api/server.py": """
        import http.server, os
        class Ready(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path == "/readyz" else 404)
                self.end_headers()
        http.server.HTTPServer(("127.0.0.1", int(os.environ["SLUICE_API_PORT"])), Ready).serve_forever()
        """,
    "ingest/__main__.py": READY_AT_ONCE,
    "processor/__main__.py": READY_AT_ONCE,
}


@pytest.fixture
def supervised(stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home whose own processes are stand-ins; the servers are the session's."""
    for name, source in STAND_INS.items():
        file = tmp_path / "stand-ins" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(textwrap.dedent(source), encoding="utf-8")
    port = free_port()
    for variable, value in {
        "PYTHONPATH": str(tmp_path / "stand-ins"),
        "SLUICE_HOME": str(tmp_path / "home"),
        "SLUICE_PREFIX": f"d{os.getpid()}-{port}",
        "SLUICE_API_PORT": str(port),
        "SLUICE_KAFKA_BOOTSTRAP": stack.settings.bootstrap,
        "SLUICE_ELASTICSEARCH_URL": stack.settings.elasticsearch,
    }.items():
        monkeypatch.setenv(variable, value)
    return Settings()


def running(settings: Settings) -> dict[str, Record]:
    _, records = status.report(settings)
    return {record.name: record for record in records if status.runs(record)}


def supervisor_pid(settings: Settings) -> int:
    now = state.read_state(Layout.of(settings).state_file)
    assert now is not None
    return now.supervisor_pid


def test_a_supervised_stack_over_its_life(supervised: Settings) -> None:
    home = Layout.of(supervised).home
    try:
        startup.up(supervised, detach=True)
        assert sorted(running(supervised)) == ["api", "ingest", "worker"]

        startup.up(supervised, detach=True, workers=3)
        before = running(supervised)
        assert sorted(before) == ["api", "ingest", "worker", "worker-2", "worker-3"]
        startup.up(supervised, detach=True, workers=2)
        assert sorted(running(supervised)) == ["api", "ingest", "worker", "worker-2"]

        victim = before["worker-2"].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        again = wait_until(
            lambda: (now := running(supervised).get("worker-2")) and now.phase == "ready" and now.pid != victim and now,
            "the supervisor has started the dead worker again",
        )
        assert again.restarts == 1

        survivors = {name: record.pid for name, record in running(supervised).items()}
        os.kill(supervisor_pid(supervised), signal.SIGKILL)
        startup.up(supervised, detach=True)
        assert {name: record.pid for name, record in running(supervised).items()} == survivors

        os.kill(supervisor_pid(supervised), signal.SIGKILL)
        startup.up(supervised, detach=True, workers=1)
        assert sorted(running(supervised)) == ["api", "ingest", "worker"]
        assert len(processes.marked(home)) == 3

        os.kill(supervisor_pid(supervised), signal.SIGKILL)
        Layout.of(supervised).state_file.unlink()
    finally:
        assert shutdown.down(supervised)
    assert processes.marked(home) == []
    assert not shutdown.down(supervised)


def test_a_process_that_keeps_dying_is_told_with_its_log_and_nothing_is_left(
    supervised: Settings, tmp_path: Path
) -> None:
    (tmp_path / "stand-ins" / "ingest" / "__main__.py").write_text("import sys\nsys.exit('no luck today')\n")
    with pytest.raises(StackError, match=r"(?s)ingest does not start.*exit code 1.*ingest\.log.*no luck today"):
        startup.up(supervised, detach=True)
    assert processes.marked(Layout.of(supervised).home) == []


def test_servers_of_someone_else_are_only_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devstack.servers.external.KAFKA_SECONDS", 1.0)
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(StackError, match="SLUICE_KAFKA_BOOTSTRAP") as caught:
        startup.up(Settings(home=tmp_path, kafka_bootstrap=nobody), detach=True)
    assert caught.value.exit_code == 3
    with pytest.raises(StackError, match="SLUICE_ELASTICSEARCH_URL") as caught:
        startup.up(Settings(home=tmp_path, elasticsearch_url=f"http://{nobody}"), detach=True)
    assert caught.value.exit_code == 3
