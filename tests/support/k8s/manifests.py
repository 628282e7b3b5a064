"""The Kubernetes manifests as kustomize renders them, and what can be asked of them.

`python -m tests.support.k8s.manifests` writes those anew that follow from other files: the alert rules, since kustomize
takes no file from outside of k8s/, and the rights of Kafka's users.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import yaml

from devstack.foreground.roles import ROLES
from schemas.policies.rights import User, rights_of
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE

Json = dict[str, Any]

K8S: Final = ROOT / "k8s"
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job")
OURS: Final = ("sluice-api", "sluice-ingest", "sluice-worker", "sluice-migrate", "sluice-kibana")
"""The names of the pods that run Sluice's image."""


RULES: Final = K8S / "components" / "monitoring" / "alerts.yaml"
_HEAD: Final = """# Written by `python -m tests.support.k8s.manifests`, from monitoring/alerts.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sluice
spec:
"""


def alert_rules() -> str:
    """The rules of monitoring/alerts.yaml as an object of Prometheus' operator."""
    lines = (ROOT / "monitoring" / "alerts.yaml").read_text("utf-8").splitlines()
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines if not line.startswith("#"))


USERS: Final = K8S / "components" / "kafka-strimzi" / "users.yaml"
_USERS_HEAD: Final = """# A user for each role.
# Written by `python -m tests.support.k8s.manifests`, from schemas/policies/rights.py.
# The worker's user also serves `sluice rebuild`.
"""
_USER: Final = """apiVersion: kafka.strimzi.io/v1
kind: KafkaUser
metadata:
  name: sluice-{role}
  labels:
    strimzi.io/cluster: sluice
spec:
  authentication:
    type: scram-sha-512
  authorization:
    type: simple
    acls:
"""


def kafka_users() -> str:
    """The users of Kafka as objects of Strimzi's operator."""
    users = []
    for role in ROLES:
        operations: dict[tuple[str, str, str], list[str]] = {}
        for right in rights_of(cast(User, role), "sluice"):
            kind = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}[right.resource]
            resource = (kind, right.name, "prefix" if right.prefixed else "literal")
            named = "".join(part.capitalize() for part in right.operation.split("-"))
            allowed = operations.setdefault(resource, ["Describe"])
            allowed += [named] if named not in allowed else []
        lines = [
            f"      - resource: {{type: {kind}, name: {name}, patternType: {pattern}}}\n"
            f"        operations: [{', '.join(allowed)}]\n"
            for (kind, name, pattern), allowed in operations.items()
        ]
        users.append(_USER.format(role=role) + "".join(lines))
    return _USERS_HEAD + "---\n".join(users)


def builder() -> list[str] | None:
    """The command that renders a folder, if there is one on this machine."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return ["kustomize", "build"] if shutil.which("kustomize") else None


def render(folder: Path) -> list[Json]:
    """The objects of a kustomization."""
    command = builder()
    assert command is not None
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(objects: list[Json], *kinds: str) -> list[Json]:
    """The objects of these kinds."""
    return [item for item in objects if item["kind"] in kinds]


def name(item: Json) -> str:
    """An object's name."""
    return str(item["metadata"]["name"])


def pod_of(item: Json) -> Json:
    """The pod template of a workload: its metadata and its spec."""
    template: Json = item["spec"]["template"]
    return template


def labels_of(item: Json) -> dict[str, str]:
    """The labels that a workload's pods have."""
    labels: dict[str, str] = pod_of(item)["metadata"]["labels"]
    return labels


def role_of(item: Json) -> str:
    """The value of the label that names what a workload's pods run."""
    return labels_of(item)["app.kubernetes.io/name"]


def containers(item: Json) -> list[Json]:
    """Every container of a workload, those of its start included."""
    spec = pod_of(item)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Json, labels: dict[str, str]) -> bool:
    """Whether a label selector matches."""
    wanted = selector.get("matchLabels", {}).items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in wanted)


def settings_of(objects: list[Json], item: Json) -> dict[str, str]:
    """The variables that a workload's pod gets, from its ConfigMaps and from the manifest; secrets as empty texts."""
    maps = {name(each): each["data"] for each in of_kind(objects, "ConfigMap")}
    found: dict[str, str] = {}
    for source in pod_of(item)["spec"]["containers"][0].get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]
    for variable in pod_of(item)["spec"]["containers"][0].get("env", []):
        found[variable["name"]] = variable.get("value", "")
    return found


def below_restricted(item: Json) -> Iterator[str]:
    """What a workload's pods have that the Pod Security level "restricted" refuses, as that level is written down."""
    spec = pod_of(item)["spec"]
    pod = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        if spec.get(key):
            yield key
    kinds = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in spec.get("volumes", []):
        yield from (f"volume of kind {kind}" for kind in volume.keys() - {"name"} - kinds)
    for container in containers(item):
        own = container.get("securityContext", {})
        both = {**pod, **own}
        found = {
            "privileged": own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is not False,
            "capabilities": own.get("capabilities") != {"drop": ["ALL"]},
            "runAsNonRoot": both.get("runAsNonRoot") is not True,
            "runAsUser": both.get("runAsUser") == 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
            "procMount": own.get("procMount", "Default") != "Default",
            "hostPort": any(port.get("hostPort") for port in container.get("ports", [])),
        }
        yield from (f"{container['name']}: {key}" for key, bad in found.items() if bad)


if __name__ == "__main__":
    RULES.write_text(alert_rules(), "utf-8")
    USERS.write_text(kafka_users(), "utf-8")
