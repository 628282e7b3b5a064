"""Servers elsewhere that need TLS and credentials: everything runs on them, and says what is wrong when refused."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from elasticsearch import ApiError, TransportError
from pydantic import SecretStr

from devstack.ephemeral import Servers
from devstack.errors import StackError
from devstack.layout import Layout
from devstack.ports import free_port
from devstack.servers import elasticsearch_server, external, unprivileged
from devstack.servers.elasticsearch_launch import server_arguments
from processor.rebuild import rebuild
from runtime.clients import librdkafka_config
from runtime.provision import provision
from runtime.settings import Settings
from schemas.policies.rights import READS, WRITES, User, rights_of
from schemas.topics import TopicName, topic_name
from signing import sign
from tests.conftest import People
from tests.e2e.commandline import CommandLine
from tests.faults.evidence import rejections
from tests.support.places import ROOT
from tests.support.processes.cluster import Cluster, Process, forget
from tests.support.processes.servers import start_patiently
from tests.support.processes.upstream import Sender, end, rows_of, topic_job
from tests.support.waiting import PATIENCE, elasticsearch, wait_until
from verify.compare import compare
from verify.topic_records import records

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates by openssl")

USER = "sluice"
KAFKA_PASSWORD = SecretStr("of-kafka")
SCRAM_PASSWORD = SecretStr("of-kafka-by-scram")
ELASTICSEARCH_PASSWORD = SecretStr("of-elasticsearch")
API_KEY = SecretStr(base64.b64encode(b"id:of-elasticsearch").decode())
BASIC = "Basic " + base64.b64encode(f"{USER}:{ELASTICSEARCH_PASSWORD.get_secret_value()}".encode()).decode()


@dataclass(frozen=True)
class Certificates:
    """A certificate for this machine, and the authority that has signed it."""

    authority: Path
    key: Path
    chain: Path


@dataclass(frozen=True)
class Secured:
    """Where the servers are, and what they ask for. `proxy_url` is Elasticsearch for those with the API key."""

    bootstrap: str
    in_the_clear: str
    url: str
    proxy_url: str
    authority: Path


@pytest.fixture(scope="module")
def certificates(test_home: Path) -> Certificates:
    folder = test_home / "certificates"
    folder.mkdir()

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes")
    signing = ("-addext", "keyUsage=critical,keyCertSign")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=tests", *signing, "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    sign = ("x509", "-req", "-days", "2", "-in", "server.csr", "-extfile", "names", "-out", "server.pem")
    openssl(*sign, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    chain = folder / "chain.pem"
    chain.write_text((folder / "server.pem").read_text() + (folder / "ca.pem").read_text())
    return Certificates(folder / "ca.pem", folder / "server.key", chain)


@pytest.fixture(scope="module")
def secured(test_home: Path, certificates: Certificates) -> Iterator[Secured]:
    """A Kafka with SASL_SSL and an Elasticsearch with its security on."""
    own = Settings(
        home=test_home / "secured", kafka_port=free_port(), elasticsearch_port=free_port(), api_port=free_port()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elasticsearch_server, "server_arguments", _secure_arguments)
        servers = Servers(own)
    kafka_port = free_port()
    bootstrap, url = f"localhost:{kafka_port}", f"https://localhost:{own.elasticsearch_port}"
    _secure_kafka(servers, kafka_port, certificates)
    _secure_elasticsearch(servers, url, certificates)
    proxy = _proxy(own.elasticsearch_port, certificates)
    try:
        start_patiently(servers)
        user = UserScramCredentialUpsertion(
            USER,
            ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096),
            SCRAM_PASSWORD.get_secret_value().encode(),
        )
        admin = AdminClient(librdkafka_config(own))
        admin.alter_user_scram_credentials([user])[USER].result(timeout=PATIENCE)
        del admin  # it would complain when Kafka stops
        yield Secured(
            bootstrap, own.bootstrap, url, f"https://localhost:{proxy.server_address[1]}", certificates.authority
        )
    finally:
        proxy.shutdown()
        proxy.server_close()
        servers.stop()
        servers.remove()


_USERS: tuple[User, ...] = ("migrate", "api", "ingest", "worker", "service")
PLAIN = {"kafka_sasl_mechanism": "PLAIN", "kafka_password": KAFKA_PASSWORD}
SCRAM = {"kafka_sasl_mechanism": "SCRAM-SHA-256", "kafka_password": SCRAM_PASSWORD}
PASSWORD = {"elasticsearch_username": USER, "elasticsearch_password": ELASTICSEARCH_PASSWORD}
KEY = {"elasticsearch_api_key": API_KEY}


@pytest.mark.parametrize("given", [{**PLAIN, **KEY}, {**SCRAM, **PASSWORD}], ids=["plain-key", "scram-password"])
def test_an_upload_runs_on_servers_that_need_tls_and_credentials(
    secured: Secured, tmp_path: Path, given: Mapping[str, Any]
) -> None:
    settings = _settings(secured, tmp_path, prefix=f"s{free_port()}", **given)
    sluice = CommandLine(settings)
    try:
        sluice("up", "--detach")
        file = ROOT / "sample_csv" / "files" / "people-small.csv"
        assert "COMPLETED: 1,000 rows" in sluice("upload", file, "--dataset", "people", "--wait").stdout
        with elasticsearch(settings) as client:
            client.indices.refresh(index=f"{settings.prefix}-*")
            assert client.count(index=f"{settings.prefix}-data-people")["count"] == 1000
        sluice("rebuild")
    finally:
        sluice("down")


def test_each_role_does_its_work_with_the_rights_that_the_manifests_give_it(
    secured: Secured, tmp_path: Path, people: People
) -> None:
    """Uploads, a pause, a retry, a rollback, an export and rows of the inbox, with Kafka's users of k8s/components."""
    _make_users(secured)
    shared = {**SCRAM, **PASSWORD, "prefix": "sluice", "topic_partitions": 4, "block_rows": 100, "slice_rows": 100}
    settings: dict[User, Settings] = {
        role: _settings(secured, tmp_path, **{**shared, "kafka_username": f"sluice-{role}"}) for role in _USERS
    }
    cluster = Cluster(settings["api"])
    superuser = _settings(secured, tmp_path, **{**shared, "api_port": settings["api"].api_port})
    with _ended(cluster, superuser):
        wait_until(partial(_provisioned, settings["migrate"]), "the rights are in force, and all is made")
        for role in ("api", "ingest", "worker"):
            cluster.all.append(Process(role, 1, settings[role]))
        cluster.wait_ready(*cluster.all)
        job_id = cluster.upload(people(1000), "rights", rows_per_second=20)
        cluster.wait_rows(job_id, 100)
        assert cluster.act(job_id, "pause")["state"] == "PAUSED"
        cluster.act(job_id, "resume")
        cluster.rate(job_id, None)
        cluster.wait_state(job_id, "COMPLETED")
        export = cluster.export("rights")
        cluster.wait_state(export, "COMPLETED")
        by_inbox = topic_job(cluster, "rights-by-inbox")
        Sender(settings["service"]).rows(by_inbox, rows_of(people(100)))
        end(cluster, by_inbox, 100)
        cluster.wait_state(by_inbox, "COMPLETED")
        assert cluster.act(job_id, "rollback")["state"] == "ROLLED_BACK"
        _purge(cluster, settings["worker"], by_inbox)
        assert rebuild(settings["worker"], lambda done, total: None)["unreadable"] == 0
        assert cluster.history(job_id)
        key = cluster.call("POST", "/v1/keys", json={"name": "ada", "organisation": "rights", "role": "viewer"})["key"]
        assert cluster.request("GET", f"/v1/jobs/{job_id}", headers={"X-API-Key": key}).status_code == 200
        signing_key = cluster.call(
            "POST", "/v1/keys", json={"name": "crm", "organisation": "rights", "role": "operator", "kind": "service"}
        )["key"]
        command = json.dumps({"type": "TerminateJob", "job_id": "rights-none"}).encode()
        service = Producer(librdkafka_config(settings["service"]))
        for headers in (sign(signing_key, "commands", "rights-none", command), []):
            service.produce(topic_name("sluice", "commands"), command, "rights-none", headers=headers)
        assert service.flush(PATIENCE) == 0
        answers = cluster.wait(
            lambda: (
                [one for one in rejections(settings["worker"]) if one.job_id == "rights-none"][1:]
                and [one for one in rejections(settings["worker"]) if one.job_id == "rights-none"]
            ),
            "the service's commands are answered",
        )
        assert [(one.code, one.by) for one in answers] == [(404, "topic"), (404, "topic")]
        for role, own in settings.items():
            for name in get_args(TopicName):
                if name not in WRITES[role]:
                    assert _refuses(own, topic_name("sluice", name)), f"{role} may write {name}"
                if name not in READS[role]:
                    assert _refuses_to_show(own, topic_name("sluice", name)), f"{role} may read {name}"
        for process in list(cluster.all):
            process.stop()
        cluster.check()


def _purge(cluster: Cluster, worker: Settings, by_inbox: str) -> None:
    """Purge a job with row errors and one of the inbox; another job's dead letter has to be written once more."""
    file, jobs = worker.home / "refused.csv", []
    file.write_text(
        "name,email,phone,country,favorite_color,created_at\n"
        "Ann,ann@example.org,+31201234567,Netherlands,blue,2026-99-99T00:00:00Z\n"
    )
    for organisation in ("rights-gone", "rights-stay"):
        jobs.append(cluster.upload(file, organisation))
        cluster.wait_state(jobs[-1], "COMPLETED_WITH_ERRORS")
    for job_id in (jobs[0], by_inbox):
        cluster.act(job_id, "purge", wait=None)
        cluster.wait(lambda job_id=job_id: not cluster.job(job_id)["purging"], f"the purge of job {job_id} is over")
        done = cluster.job(job_id)
        assert (done["purge_problem"], done["purged_at"] is not None) == (None, True), done
    left = [value.decode() for _, _, value in records(worker, "dead-letters")]
    assert [[job_id for job_id in jobs if job_id in value] for value in left if "ann@example.org" in value] == [
        jobs[1:]
    ]
    assert "could not make Kafka roll" not in cluster.worker.log


def test_the_credentials_of_kafka_and_elasticsearch_rotate_while_a_job_runs(
    secured: Secured, tmp_path: Path, people: People, certificates: Certificates
) -> None:
    """As docs/runbook.md has it: the new ones are added, each process restarts, the old ones are removed."""
    prefix, rows = f"r{free_port()}", 12_000
    both = tmp_path / "authorities.pem"
    another = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=next", "-keyout",
         "/dev/null"], check=True, capture_output=True,
    ).stdout  # fmt: skip
    both.write_bytes(another + certificates.authority.read_bytes())
    small = {"prefix": prefix, "topic_partitions": 4, "block_rows": 50, "bulk_rows": 100, "session_timeout_seconds": 3}
    old = _settings(secured, tmp_path, **{**SCRAM, **KEY, **small, "kafka_username": f"{prefix}-old"})
    superuser = _settings(secured, tmp_path, **{**SCRAM, **PASSWORD, **small, "api_port": old.api_port})
    new = superuser.model_copy(update={"kafka_username": f"{prefix}-new", "kafka_ca_file": both})
    admin = AdminClient({"bootstrap.servers": secured.in_the_clear})
    _let_in(admin, f"{prefix}-old", prefix)
    cluster = Cluster(old)
    with _ended(cluster, superuser):
        assert provision(superuser) == []
        started = [cluster.launch(role) for role in ("api", "ingest", "worker")]
        cluster.wait_ready(*started)
        file = people(rows)
        job_id = cluster.upload(file, rows_per_second=20)
        cluster.wait_rows(job_id, 100)
        _let_in(admin, f"{prefix}-new", prefix)
        for process in started[::-1]:
            process.stop()
            cluster.start(process.role, settings=new)
        gone = UserScramCredentialDeletion(f"{prefix}-old", ScramMechanism.SCRAM_SHA_256)
        admin.alter_user_scram_credentials([gone])[f"{prefix}-old"].result(PATIENCE)
        assert cluster.job(job_id)["state"] == "RUNNING"
        cluster.rate(job_id, None)
        cluster.wait_state(job_id, "COMPLETED")
        verdict = compare(superuser, job_id, "people", file)
        assert verdict.holds, verdict
        wait_until(lambda: _refusal(old), "the old credentials are refused")
        cluster.check()


@contextmanager
def _ended(cluster: Cluster, superuser: Settings) -> Iterator[None]:
    """At the end its processes are killed, their logs printed, and its data removed by one who may."""
    try:
        yield
    finally:
        for process in cluster.all:
            if process.alive:
                process.kill()
        cluster.show()
        forget(superuser)


def _provisioned(settings: Settings) -> bool:
    """Make every topic and index, and answer True; False: the servers refuse, as until the rights are in force."""
    try:
        differences = provision(settings)
    except (KafkaException, ApiError, TransportError):
        return False
    assert differences == []
    return True


def _refusal(settings: Settings) -> str:
    """Why the servers refuse us; empty: they do not."""
    try:
        external.require_reachable(settings)
    except StackError as error:
        return str(error)
    return ""


def _let_in(admin: AdminClient, user: str, prefix: str) -> None:
    """A user of Kafka who may do everything with the topics, groups and transactions of an installation."""
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    secret = SCRAM_PASSWORD.get_secret_value().encode()
    admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, info, secret)])[user].result(PATIENCE)
    kinds = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
    rights = [
        AclBinding(kind, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", AclOperation.ALL,
                   AclPermissionType.ALLOW)
        for kind in kinds
    ]  # fmt: skip
    for future in admin.create_acls(rights).values():
        future.result(PATIENCE)


def _refuses(settings: Settings, topic: str) -> bool:
    """Whether Kafka refuses this user a record for this topic."""
    errors: list[Any] = []
    producer = Producer({**librdkafka_config(settings, message_timeout_ms=int(PATIENCE * 1000)), "log_level": 0})
    producer.produce(topic, b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(PATIENCE)
    return errors[0] is not None and errors[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def _refuses_to_show(settings: Settings, topic: str) -> bool:
    """Whether Kafka refuses this user the records of this topic."""
    consumer = Consumer(
        {
            **librdkafka_config(
                settings, group_id="sluice-stranger", enable_partition_eof=True, topic_metadata_propagation_max_ms=0
            ),
            "log_level": 0,
        }
    )
    refusals = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
    try:
        described = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].error
        if described is not None:  # the user may not even know that there is such a topic
            return described.code() in refusals
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        # What Kafka says of the group comes first, where this user is in none.
        while (record := consumer.poll(PATIENCE)) is not None:
            error = record.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return False
            if error.code() in refusals:
                return True
        return False
    finally:
        consumer.close()


def _make_users(secured: Secured) -> None:
    """The users and rights of the component kafka-strimzi, as its operator would make them."""
    admin = AdminClient({"bootstrap.servers": secured.in_the_clear})
    secret = SCRAM_PASSWORD.get_secret_value().encode()
    bindings = []
    for item in yaml.safe_load_all((ROOT / "k8s/components/kafka-strimzi/users.yaml").read_text("utf-8")):
        name = item["metadata"]["name"]
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, info, secret)])[name].result(PATIENCE)
        for acl in item["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            kind = {"topic": "TOPIC", "group": "GROUP", "transactionalId": "TRANSACTIONAL_ID"}[resource["type"]]
            pattern = {"literal": "LITERAL", "prefix": "PREFIXED"}[resource["patternType"]]
            bindings += [
                AclBinding(
                    ResourceType[kind],
                    resource["name"],
                    ResourcePatternType[pattern],
                    f"User:{name}",
                    "*",
                    AclOperation[re.sub("(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
                    AclPermissionType.ALLOW,
                )
                for operation in acl["operations"]
            ]
    # A service's user has no manifest: docs/security.md has its rights.
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    admin.alter_user_scram_credentials([UserScramCredentialUpsertion("sluice-service", info, secret)])[
        "sluice-service"
    ].result(PATIENCE)
    for right in rights_of("service", "sluice"):
        write = AclOperation[right.operation.upper()]
        place = (ResourceType.TOPIC, right.name, ResourcePatternType.LITERAL, "User:sluice-service", "*", write)
        bindings.append(AclBinding(*place, AclPermissionType.ALLOW))
    for future in admin.create_acls(bindings).values():
        future.result(PATIENCE)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kafka_password": SecretStr("wrong")}, "SASL authentication error"),
        ({"kafka_ca_file": None}, "certificate verify failed"),
        ({"elasticsearch_password": SecretStr("wrong")}, "AuthenticationException"),
        ({"elasticsearch_ca_file": None}, "TLS error"),
    ],
    ids=["kafka-password", "kafka-ca", "elasticsearch-password", "elasticsearch-ca"],
)
def test_a_refusal_names_its_reason(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Mapping[str, Any], message: str
) -> None:
    settings = _settings(secured, tmp_path, **{**SCRAM, **PASSWORD, **wrong})
    seconds = (5.0 * 2**look for look in count())

    def named() -> bool:
        monkeypatch.setattr(external, "KAFKA_SECONDS", next(seconds))
        refusal = _refusal(settings)
        assert refusal, "it is let in"
        return message in refusal

    wait_until(named, f"the refusal says {message!r}")


def _settings(secured: Secured, home: Path, **more: Any) -> Settings:
    own: dict[str, Any] = {
        "home": home,
        "api_port": free_port(),
        "api_require_key": False,
        "kafka_bootstrap": secured.bootstrap,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_username": USER,
        "kafka_ca_file": secured.authority,
        "elasticsearch_url": secured.proxy_url if "elasticsearch_api_key" in more else secured.url,
        "elasticsearch_ca_file": secured.authority,
    }
    return Settings(**{**own, **more})


def _secure_kafka(servers: Servers, port: int, certificates: Certificates) -> None:
    """Give it a further listener; the one in the clear is for the broker itself, and for us to make users."""
    program, file = servers.kafka.program, Layout.of(servers.settings).kafka / "server.properties"
    keystore = certificates.key.with_name("keystore.pem")
    keystore.write_text(certificates.key.read_text() + certificates.chain.read_text())
    login, listener = "org.apache.kafka.common.security", "listener.name.secured"
    security = {
        "inter.broker.listener.name": "PLAINTEXT",
        # Clients in the clear may do everything, and so may the user of most tests.
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{USER}",
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": str(keystore),
        f"{listener}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        f"{listener}.plain.sasl.jaas.config": (
            f'{login}.plain.PlainLoginModule required user_{USER}="{KAFKA_PASSWORD.get_secret_value()}";'
        ),
        f"{listener}.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
    }

    def check() -> None:
        program.check()
        lines = dict(line.split("=", 1) for line in file.read_text().splitlines())
        lines["listeners"] += f",SECURED://127.0.0.1:{port}"
        lines["advertised.listeners"] += f",SECURED://localhost:{port}"
        lines["listener.security.protocol.map"] += ",SECURED:SASL_SSL"
        file.write_text("".join(f"{name}={value}\n" for name, value in {**lines, **security}.items()))

    servers.kafka.program = replace(program, check=check)


def _secure_arguments(node: Mapping[str, str], configuration: Path, logs: Path) -> bytes:
    security = {
        "xpack.security.enabled": "true",
        "xpack.security.autoconfiguration.enabled": "false",
        "xpack.security.http.ssl.enabled": "true",
        "xpack.security.http.ssl.key": "server.key",
        "xpack.security.http.ssl.certificate": "chain.pem",
    }
    return server_arguments({**node, **security}, configuration, logs)


def _secure_elasticsearch(servers: Servers, url: str, certificates: Certificates) -> None:
    """Give it its certificate, and a user in the files of its file realm."""
    program = servers.elasticsearch.program
    assert program.folder is not None
    configuration = program.folder / "config"
    salt, rounds = os.urandom(32), 10_000
    digest = hashlib.pbkdf2_hmac("sha512", ELASTICSEARCH_PASSWORD.get_secret_value().encode(), salt, rounds, 32)
    encoded = f"{base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    files = {
        "server.key": certificates.key.read_text(),
        "chain.pem": certificates.chain.read_text(),
        "users": f"{USER}:{{PBKDF2}}{rounds}${encoded}\n",
        "users_roles": f"superuser:{USER}\n",
    }

    def check() -> None:
        program.check()
        for name, text in files.items():
            (configuration / name).write_text(text)
            if (user := unprivileged.server_user()) is not None:
                os.chown(configuration / name, user, user)

    client_settings = Settings(
        elasticsearch_url=url,
        elasticsearch_ca_file=certificates.authority,
        elasticsearch_username=USER,
        elasticsearch_password=ELASTICSEARCH_PASSWORD,
    )

    def probe() -> bool:
        try:
            with elasticsearch(client_settings) as client:
                return not client.cluster.health(wait_for_status="yellow", timeout="2s")["timed_out"]
        except (ApiError, TransportError):
            return False

    servers.elasticsearch.program = replace(program, check=check, probe=probe)


class _KeyHolders(BaseHTTPRequestHandler):
    """Lets those with the API key in: the distribution for tests lacks a module that making one there would need."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, port: int, trust: ssl.SSLContext) -> None:
        self._port, self._trust = port, trust
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Keep quiet."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        known = self.headers.get("authorization") == f"ApiKey {API_KEY.get_secret_value()}"
        dropped = ("host", "connection", "authorization", "transfer-encoding", "content-length")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        server = http.client.HTTPSConnection("localhost", self._port, context=self._trust)
        server.request(self.command, self.path, body, {**headers, **({"Authorization": BASIC} if known else {})})
        response = server.getresponse()
        content = response.read()
        server.close()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in dropped:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the standard library looks for these


def _proxy(port: int, certificates: Certificates) -> ThreadingHTTPServer:
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.chain, certificates.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_KeyHolders, port=port, trust=trust))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
