"""The local stack's Kafka: one node in KRaft mode."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from devstack import ports
from devstack.errors import StackError
from devstack.layout import Layout, write_atomically
from devstack.program import Program
from devstack.servers import jvm
from devstack.servers.disk import require_space
from devstack.servers.lockfile import locked
from devstack.servers.packages import fetch
from devstack.servers.quiet import silent_logger
from runtime.settings import Settings

# Small internal topics and no waiting for members that a laptop does not have: it is ready seconds sooner.
PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # How often brokers look for transactions that a killed reader left open; consumers can't read behind one.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # After a crash the controller waits this long before it lets the same broker in again; and a broker that gets no
    # processor for so long, on a very busy machine, is taken for dead.
    "broker.session.timeout.ms": "9000",
    "broker.heartbeat.interval.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.segment.bytes": str(256 * 1024 * 1024),
    "log.index.size.max.bytes": str(2 * 1024 * 1024),
    "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),
    "log.retention.hours": "168",
    # Records that a purge removes soon leave the disk, too; by default that takes up to five minutes and a minute.
    "log.retention.check.interval.ms": "5000",
    "log.initial.task.delay.ms": "5000",
    "log.segment.delete.delay.ms": "1000",
}

LOG4J: Final = f"""\
{jvm.console_log("[%d] %p %m (%c)%n", "warn")}\
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


def program(settings: Settings, layout: Layout, cache: Path) -> Program:
    """Kafka, ready to be started; downloads it and formats its data folder where that is still to do.

    Raises:
        StackError: it can't be downloaded or its data folder can't be formatted.
    """
    classpath = ":".join(str(path) for path in fetch(locked("kafka"), cache))
    configuration = layout.kafka / "server.properties"
    log4j = layout.kafka / "log4j2.properties"
    log4j.write_text(LOG4J, encoding="utf-8")
    cluster = _cluster_id(layout.kafka / "cluster-id")
    java = str(jvm.java_home() / "bin" / "java")
    flags = (f"-Dlog4j2.configurationFile={log4j}", "-Djava.awt.headless=true", "--enable-native-access=ALL-UNNAMED")
    command = (java, *flags, "-cp", classpath)
    environment = jvm.environment(layout.home)

    def check() -> None:
        require_space(layout.kafka)
        ports.require_free(settings.kafka_port, "Kafka", "SLUICE_KAFKA_PORT")
        write_properties(configuration, settings.kafka_port, layout)
        if not (layout.kafka / "data" / "meta.properties").exists():
            _format((*command, "kafka.tools.StorageTool"), environment, configuration, cluster)

    return Program(
        role="kafka",
        number=1,
        command=(
            java,
            "-Xms256m",
            "-Xmx512m",
            jvm.CONCURRENT_COLLECTOR,
            jvm.FIRST_COMPILER_ONLY,
            "-XX:+ExitOnOutOfMemoryError",
            "--sun-misc-unsafe-memory-access=allow",  # Kafka unmaps its files by it, and Java 25 warns of that
            *command[1:],
            "kafka.Kafka",
            str(configuration),
        ),
        environment=environment,
        log=layout.log("kafka"),
        check=check,
        probe=lambda: answers(settings.kafka_port, cluster),
        niceness=5,  # a file is published faster than its rows are written anyway
        folder=layout.kafka,
    )


def answers(port: int, cluster: str) -> bool:
    """Whether Kafka serves metadata there, and is the cluster that we started."""
    if not ports.is_open(port):
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": f"{ports.HOST}:{port}", "log_level": 0, "logger": silent_logger()})
    try:
        metadata = client.list_topics(timeout=3)
    except KafkaException:
        return False
    return metadata.cluster_id == cluster and bool(metadata.brokers)


def write_properties(file: Path, port: int, layout: Layout) -> None:
    """Write the server's configuration; the controller's port is remembered from start to start."""
    controller = ports.remembered_port(layout.run / "ports.json", "kafka_controller")
    places = {
        "listeners": f"PLAINTEXT://{ports.HOST}:{port},CONTROLLER://{ports.HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{ports.HOST}:{port}",
        "controller.quorum.voters": f"1@{ports.HOST}:{controller}",
        "log.dirs": str(layout.kafka / "data"),
    }
    write_atomically(file, "".join(f"{name}={value}\n" for name, value in {**PROPERTIES, **places}.items()))


def _cluster_id(file: Path) -> str:
    if not file.exists():
        # StorageTool would take an id that begins with - for an option.
        write_atomically(file, base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A"))
    return file.read_text(encoding="utf-8")


def _format(tool: tuple[str, ...], environment: Mapping[str, str], configuration: Path, cluster: str) -> None:
    command = [*tool, "format", "--ignore-formatted", "-t", cluster, "-c", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip() and not line[0].isspace()]
        raise StackError(
            f"Kafka's data folder {configuration.parent} could not be formatted: {(lines or ['no output'])[-1]}"
        )
