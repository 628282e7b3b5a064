"""Settings, read from environment variables named ``SLUICE_*`` (docs/settings.md lists them; a test compares)."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, DirectoryPath, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from runtime.bounds import (
    LEAST_SECONDS,
    MOST_SESSION_SECONDS,
    Bytes,
    Count,
    Days,
    DaysOrForever,
    Hours,
    HoursOrZero,
    Port,
    Seconds,
    SecondsOrZero,
    Within,
)
from runtime.network.addresses import SOURCE_SCHEMES, read_address
from runtime.network.urls import is_ipv6, server_key, server_url
from runtime.tables_in_settings import table_in
from schemas.policies.principals import Role
from schemas.policies.quotas import QuotaBook, quota_book
from schemas.policies.retention import RetentionBook, retention_book
from schemas.topics import COMMANDS_DAYS, HISTORY_DAYS

BULK_BYTES: Final = 8 * 1024 * 1024
"""The default of ``SLUICE_BULK_BYTES``."""


def _key(value: SecretStr) -> SecretStr:
    server_key(value.get_secret_value())
    return value


def _limits(text: str) -> str:
    quota_book(table_in(text))
    return text


def _retention(text: str) -> str:
    retention_book(table_in(text))
    return text


def _roles(text: str) -> str:
    role_names(text)
    return text


def role_names(text: str) -> dict[str, Role]:
    """Value of a claim -> role, from ``value=role,value=role``; empty: the roles' own names.

    Raises:
        ValueError: it has another form.
    """
    found: dict[str, Role] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        value, _, role = part.rpartition("=")
        if not value or role not in list(Role):
            raise ValueError("each part, between commas, is value=viewer, value=operator or value=admin")
        found[value] = Role(role)
    return found or {role.value: role for role in Role}


Url = Annotated[str, AfterValidator(server_url)]
Key = Annotated[SecretStr, AfterValidator(_key)]


class _SecretFiles(SecretsSettingsSource):
    """The folder of secrets; an empty file counts as none."""

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if value != ""}


class Settings(BaseSettings):
    """One process's settings. Every field is the variable ``SLUICE_<FIELD>``, in capitals.

    An empty variable counts as unset: an empty path would be the current folder.
    """

    model_config = SettingsConfigDict(
        env_prefix="SLUICE_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, the environment, a folder of secrets. No .env file is read, and to look for each setting in none
        would take half the time.
        """
        assert isinstance(file_secret_settings, SecretsSettingsSource)
        return init_settings, env_settings, _SecretFiles(settings_cls, file_secret_settings.secrets_dir)

    home: Path = Field(
        Path(".sluice"), description="folder of the local stack: data, logs, spooled files, the admin's key"
    )
    prefix: str = Field(
        "sluice", pattern=r"^[a-z][a-z0-9-]*$", description="first part of every topic, index and group"
    )

    kafka_bootstrap: str | None = Field(None, description="Kafka's host:port list; unset: the local stack's own Kafka")
    kafka_port: Port = Field(29092, description="port of the local stack's Kafka")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to Kafka"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="SASL mechanism, with a SASL_* security protocol"
    )
    kafka_username: str | None = Field(None, description="SASL user name")
    kafka_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ca_file: Path | None = Field(None, description="PEM file of the authorities to trust, for Kafka over TLS")
    kafka_cert_file: Path | None = Field(None, description="PEM file of the client's certificate (mutual TLS)")
    kafka_key_file: Path | None = Field(None, description="PEM file of the client's private key (mutual TLS)")

    elasticsearch_url: Url | None = Field(
        None, description="Elasticsearch's URL; unset: the local stack's own Elasticsearch"
    )
    elasticsearch_port: Port = Field(29200, description="port of the local stack's Elasticsearch")
    elasticsearch_api_key: Key | None = Field(None, description="Elasticsearch API key (encoded form)")
    elasticsearch_username: str | None = Field(None, description="user name, when no API key is used")
    elasticsearch_password: SecretStr | None = Field(None, description="password, when no API key is used")
    elasticsearch_ca_file: Path | None = Field(None, description="PEM file of the authorities to trust")
    request_timeout_seconds: Seconds = Field(
        20.0, description="time limit of a request to Elasticsearch; bounds how long a lost worker's may go on"
    )
    late_request_seconds: SecondsOrZero = Field(
        20.0,
        description="so long after its sender gave up waiting may a request to Elasticsearch still be carried out",
    )
    elasticsearch_replicas: Annotated[int, Within(0, 1000)] = Field(
        0, description="replicas of each index that is created"
    )
    elasticsearch_shards: Annotated[int, Within(1, 1024)] = Field(
        1, description="primary shards of each data index that is created"
    )

    index_bytes: Bytes | None = Field(
        None, description="bytes of an index from which on new jobs of its dataset get the next one; unset: never"
    )

    kibana_url: Url = Field("http://127.0.0.1:5601", description="Kibana's URL, for the import of the dashboards")
    kibana_space: str | None = Field(None, description="id of the space they go to; unset: the default space")
    kibana_api_key: Key | None = Field(None, description="API key for Kibana (encoded form)")
    kibana_username: str | None = Field(None, description="user name for Kibana, when no API key is used")
    kibana_password: SecretStr | None = Field(None, description="password for Kibana, when no API key is used")
    kibana_ca_file: Path | None = Field(None, description="PEM file of the authorities to trust, for Kibana over TLS")

    api_host: str = Field("127.0.0.1", description="address the API listens on")
    api_port: Port = Field(8080, description="port the API listens on")
    api_url: Url | None = Field(None, description="where clients find the API; unset: http://api_host:api_port")
    api_key: Key | None = Field(None, description="the admin's API key; unset: read from admin.key in the home folder")
    api_require_key: bool = Field(True, description="refuse calls without an API key; the local stack sets it to false")
    api_tls_cert_file: Path | None = Field(
        None, description="PEM file of the API's certificate, with those that sign it; the API speaks TLS with it"
    )
    api_tls_key_file: Path | None = Field(None, description="PEM file of the certificate's private key")
    api_ca_file: Path | None = Field(
        None, description="PEM file of the authorities that the command line trusts; unset: the system's"
    )
    api_access_log: bool = Field(True, description="log a line for each request: who asked for which route")
    api_connections: Annotated[int, Within(10, 1_000_000)] = Field(
        500, description="connections that the API holds open at once, at most"
    )
    api_head_seconds: Seconds = Field(
        20.0, description="time limit of a request's line and headers, from the opening of the connection on"
    )
    api_pause_seconds: Seconds = Field(
        60.0, description="longest pause in the sending of a body, or in the fetching of an answer"
    )
    api_least_bytes_per_second: Annotated[float, Within(0, 1_000_000, above=True)] = Field(
        500.0, description="least rate of a body or an answer, on average over twice that pause"
    )

    oidc_issuer: Url | None = Field(None, description="the OpenID provider's issuer; unset: none")
    oidc_audience: str | None = Field(None, description="audience of bearer tokens; unset: none is taken")
    oidc_algorithm: Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] = Field(
        "RS256", description="the one algorithm of tokens' signatures"
    )
    oidc_jwks: str | None = Field(
        None, description="file or URL of the provider's keys (JWKS); unset: as its description says"
    )
    oidc_name_claim: str = Field("sub", min_length=1, description="claim that holds the principal's name")
    oidc_organisations_claim: str = Field("organisations", min_length=1, description="claim with the organisations")
    oidc_all_organisations: str | None = Field(None, description="value of that claim that stands for all of them")
    oidc_role_claim: str = Field("role", min_length=1, description="claim with the role, or several")
    oidc_roles: Annotated[str, AfterValidator(_roles)] = Field(
        "", description="roles of that claim's values, as value=role with commas between; empty: the roles' own names"
    )
    oidc_client_id: str | None = Field(None, description="client id for signing in on the page; unset: keys alone")
    oidc_client_secret: SecretStr | None = Field(None, description="its secret; unset: a public client")
    oidc_scope: str = Field("openid", description="scopes to ask for, with spaces between")
    oidc_session_seconds: Annotated[float, Within(LEAST_SECONDS, 12 * 3600)] = Field(
        3600.0, description="how long someone whom the provider has signed in stays so"
    )

    topic_partitions: Annotated[int, Within(1, 256)] = Field(
        8, description="partitions of the topics that carry rows and plans"
    )
    topic_replication: Annotated[int, Within(1, 1000)] = Field(
        1, description="replication factor of each topic that is created"
    )

    storage: Path | None = Field(
        None, description="folder for spooled files and results; unset: storage in the home folder"
    )
    storage_url: str | None = Field(
        None, description="bucket for exports' parts and results, s3://bucket/folder; unset: the storage folder"
    )
    s3_endpoint: Url | None = Field(None, description="URL of an S3 server; unset: Amazon's own")
    s3_region: str | None = Field(None, description="region of the bucket; unset: as AWS_REGION says")
    s3_access_key_id: str | None = Field(None, description="access key; unset: as AWS's own tools find one")
    s3_secret_access_key: SecretStr | None = Field(None, description="the access key's secret")
    import_folders: str = Field("", description="folders whose files jobs may name, separated by ':'; empty: none")
    source_urls: str = Field(
        "",
        description="beginnings of addresses that jobs may read, with spaces between; {organisation} in one stands for "
        "the job's, as in s3://bucket/{organisation}; empty: none",
    )
    source_bytes: Bytes = Field(64 * 1024**3, description="bytes of a file at such an address, at most")
    source_seconds: Seconds = Field(3600.0, description="time limit for the reading of such a file")
    source_private_addresses: bool = Field(
        False, description="whether https addresses may lead to hosts in private networks, or this one"
    )
    source_ca_file: Path | None = Field(None, description="PEM file of the authorities to trust, for https addresses")
    webhook_allow_private: bool = Field(
        False, description="whether webhooks may lead to hosts in private networks, or this one, and do without TLS"
    )
    webhook_seconds: Annotated[float, Within(LEAST_SECONDS, 300)] = Field(
        15.0, description="time limit of a request to a webhook's receiver"
    )
    webhook_retry_hours: Annotated[float, Within(0, 24 * 30, above=True)] = Field(
        24.0, description="hours for which a delivery that is not taken is tried again"
    )
    webhook_ca_file: Path | None = Field(
        None, description="PEM file of the authorities to trust, for webhooks; unset: the system's"
    )
    datasets_folder: Path | None = Field(None, description="a folder of further dataset schemas (*.json, Table Schema)")

    operations: str = Field(
        "", description="further operations, each as module:Class, with commas between; empty: none"
    )

    unpacked_bytes: Annotated[int, Within(1024**2, 2**50)] = Field(
        64 * 1024**3, description="bytes that a compressed file unpacks to, at most"
    )

    limits: Annotated[str, AfterValidator(_limits)] = Field(
        "", description="what organisations may use, a table: JSON, or the path of a .toml or .json file"
    )
    retention: Annotated[str, AfterValidator(_retention)] = Field(
        "", description="how long what holds values of jobs is kept, a table: JSON, or the path of such a file"
    )
    housekeeping_seconds: Seconds = Field(
        3600.0, description="pause between two looks for what is to be removed by its retention"
    )
    seal_blocks: bool = Field(
        True, description="encrypt the blocks of new jobs in Kafka, each job's with a key of its own, for purges"
    )
    secrets_folder: DirectoryPath | None = Field(
        None, description="a folder with a file for each secret setting, named like its variable; unset: none"
    )

    draft_hours: Hours = Field(24.0, description="hours after which a draft whose job was not started ends")
    job_retention_days: Days = Field(30.0, description="days after which an ended job leaves the control table")
    command_retention_days: DaysOrForever = Field(
        COMMANDS_DAYS, description="days for which Kafka keeps what was asked for, or forever; migrate sets it"
    )
    history_retention_days: DaysOrForever = Field(
        HISTORY_DAYS,
        description="days for which Kafka keeps what has happened to jobs, or forever; migrate sets it",
    )
    image_retention_days: Days = Field(
        30.0, description="days after a job's end for which what it wrote over is kept, for its rollback"
    )
    report_retention_days: Days | None = Field(
        None, description="days after which reports of jobs that are gone are deleted; unset: never"
    )
    block_rows: Annotated[int, Within(1, 5000)] = Field(
        1000, description="rows in a block, at most; of an inbox, and of a job made with a rate, 500 at most"
    )
    block_bytes: Annotated[int, Within(4096, 640 * 1024)] = Field(
        256 * 1024, description="bytes of a block's values, at most"
    )
    slice_rows: Annotated[int, Within(1, 10_000)] = Field(10_000, description="rows in a slice of an export, at most")
    bulk_rows: Count = Field(
        4000, description="rows in one bulk request, at most; half where documents are read first or taken out"
    )
    bulk_bytes: Annotated[int, Within(65536, 1024**3)] = Field(
        BULK_BYTES, description="bytes of the rows in one bulk request, about"
    )
    bulk_in_flight: Annotated[int, Within(1, 16)] = Field(2, description="bulk requests a worker keeps in flight")
    lane_blocks: Count = Field(128, description="blocks of one lane that a worker holds in memory, at most")
    require_signed_commands: bool = Field(
        False, description="refuse requests, and rows of the inbox, that services write to Kafka without a signature"
    )
    signed_command_seconds: Seconds = Field(
        300.0, description="how far apart the time of a signature and that of its record in Kafka may be"
    )
    old_reports_hours: HoursOrZero = Field(
        24.0, description="for so long after the upgrade, reports in the topic of the commands are taken"
    )
    unknown_job_seconds: SecondsOrZero = Field(
        30.0, description="a row on the inbox waits so long for its job to be made, then it is refused"
    )
    session_timeout_seconds: Annotated[float, Within(1, MOST_SESSION_SECONDS)] = Field(
        10.0, description="a worker not heard of for so long loses its partitions"
    )

    metrics_port: Annotated[int, Within(0, 65535)] | None = Field(
        None,
        description="port on which a process answers GET /metrics, /readyz and /healthz; unset: none",
    )
    metrics_host: str = Field("127.0.0.1", description="address of that port")
    ready_file: Path | None = Field(None, description="a file this process makes once it is ready, for probes")
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="how log lines are written; auto: text on a terminal and in the local stack, else JSON"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")

    @field_validator("*")
    @classmethod
    def _utf8(cls, value: object) -> object:
        """Other text can't be sent to a server; a path may be any bytes."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("it is not UTF-8 text")
        return value

    @model_validator(mode="after")
    def _tls(self) -> Settings:
        for side in ("api_tls", "kafka"):
            certificate, key = f"{side}_cert_file", f"{side}_key_file"
            if (getattr(self, certificate) is None) != (getattr(self, key) is None):
                pair = f"SLUICE_{certificate.upper()} and SLUICE_{key.upper()}"
                raise ValueError(f"{pair} belong together; give both, or neither")
        return self

    @field_validator("source_urls")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for prefix in value.split():
            if read_address(prefix.replace("{organisation}", "default"), SOURCE_SCHEMES).query:
                raise ValueError("the beginning of an address has no query; write s3://bucket/... or https://host/...")
        return value

    @property
    def bootstrap(self) -> str:
        """Kafka's bootstrap servers, ``host:port[,host:port]``."""
        return self.kafka_bootstrap or f"127.0.0.1:{self.kafka_port}"

    @property
    def elasticsearch(self) -> str:
        """Elasticsearch's base URL."""
        return self.elasticsearch_url or f"http://127.0.0.1:{self.elasticsearch_port}"

    @property
    def request_age_seconds(self) -> float:
        """Elasticsearch may still carry out a request of a worker for this long after the worker's death."""
        return self.request_timeout_seconds + self.late_request_seconds

    @property
    def quotas(self) -> QuotaBook:
        """What each organisation may use. It reads the file that `limits` may name."""
        return quota_book(table_in(self.limits))

    @property
    def history_days(self) -> float:
        """Days for which Kafka keeps the history: never less than for which the control table keeps ended jobs."""
        return max(self.history_retention_days, self.job_retention_days)

    @property
    def retentions(self) -> RetentionBook:
        """How long each store keeps what it has of a job. It reads the file that `retention` may name."""
        return retention_book(table_in(self.retention))

    @property
    def api(self) -> str:
        """The API's base URL, without a slash at its end."""
        scheme = "http" if self.api_tls_cert_file is None else "https"
        host = f"[{self.api_host}]" if is_ipv6(self.api_host) else self.api_host
        return (self.api_url or f"{scheme}://{host}:{self.api_port}").rstrip("/")

    @property
    def storage_root(self) -> Path:
        """Folder of spooled source files and of results; absolute."""
        return (self.storage or self.home / "storage").absolute()

    @property
    def import_roots(self) -> tuple[Path, ...]:
        """Folders whose files a job may name; absolute."""
        return tuple(Path(part).absolute() for part in self.import_folders.split(":") if part)

    @property
    def source_prefixes(self) -> tuple[str, ...]:
        """Beginnings of addresses that a job may read."""
        return tuple(self.source_urls.split())

    @property
    def oidc_role_names(self) -> dict[str, Role]:
        """Value of the role's claim -> role."""
        return role_names(self.oidc_roles)

    @property
    def read_files(self) -> dict[str, Path]:
        """The files that clients of Kafka and Elasticsearch, and the API, read, by the names of their settings."""
        clients = ("kafka_ca_file", "kafka_cert_file", "kafka_key_file", "elasticsearch_ca_file")
        names = (*clients, "api_tls_cert_file", "api_tls_key_file", "webhook_ca_file")
        return {name: path for name in names if (path := getattr(self, name)) is not None}

    @property
    def admin_key_file(self) -> Path:
        """Where a local stack keeps its admin's API key."""
        return self.home.absolute() / "admin.key"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """This process's settings, read once: from variables, then from files in the folder of secrets.

    Raises:
        pydantic.ValidationError: a variable has a value that can't be used; its message names the variable's field.
    """
    # A folder that is missing is refused as the value of its own variable.
    folder = os.environ.get("SLUICE_SECRETS_FOLDER")
    return Settings(_secrets_dir=folder if folder and Path(folder).is_dir() else None)
