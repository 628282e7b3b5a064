"""The Kubernetes manifests: rendered by kustomize, held against Kubernetes' and the operators' schemas and the code."""

from __future__ import annotations

import copy
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from devstack.foreground.roles import ROLES
from runtime.provision import arguments
from runtime.settings import Settings
from schemas.topics import topics
from tests.support.k8s.crd_schema import custom_schemas, problems
from tests.support.k8s.manifests import (
    K8S,
    OURS,
    RULES,
    USERS,
    WORKLOADS,
    alert_rules,
    below_restricted,
    builder,
    containers,
    kafka_users,
    labels_of,
    name,
    of_kind,
    pod_of,
    render,
    role_of,
    selects,
    settings_of,
)
from tests.support.places import ROOT

Json = dict[str, Any]

pytestmark = pytest.mark.skipif(builder() is None, reason="neither kubectl nor kustomize is installed")

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
KUBERNETES = ("1.32", "1.37")
"""The oldest and the newest version that the manifests are held against."""
COMPONENTS = sorted(folder.name for folder in (K8S / "components").iterdir())
FROM_OPERATORS = {
    "sluice-cluster-ca-cert": "Strimzi",
    "sluice-es-elastic-user": "ECK",
    "sluice-es-http-certs-public": "ECK",
    "sluice-kb-http-certs-public": "ECK",
}
OPERATORS_SERVICES = {"sluice-kafka-bootstrap": 9093, "sluice-es-http": 9200, "sluice-kb-http": 5601}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the manifests, with one more overlay that has every component."""
    folder = tmp_path_factory.mktemp("manifests") / "k8s"
    shutil.copytree(K8S, folder)
    everything = folder / "overlays" / "everything"
    everything.mkdir()
    added = [f"../../components/{each}" for each in COMPONENTS if each not in components_of("overlays/prod")]
    overlay = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "sluice"}
    overlay |= {"resources": ["../prod"], "components": added}
    (everything / "kustomization.yaml").write_text(yaml.safe_dump(overlay), "utf-8")
    return folder


def components_of(place: str) -> set[str]:
    """The components that an overlay or a component takes in, and those that these do."""
    taken = yaml.safe_load((K8S / place / "kustomization.yaml").read_text("utf-8")).get("components", [])
    names = {Path(each).name for each in taken}
    return names.union(*(components_of(f"components/{each}") for each in names))


@pytest.fixture(scope="module")
def rendered(tree: Path) -> dict[str, list[Json]]:
    return {overlay: render(tree / "overlays" / overlay) for overlay in ("dev", "prod", "everything")}


@pytest.fixture(scope="module", params=["dev", "prod", "everything"])
def objects(request: pytest.FixtureRequest, rendered: dict[str, list[Json]]) -> list[Json]:
    """What an overlay renders to."""
    return rendered[request.param]


def own(objects: list[Json]) -> list[Json]:
    return [item for item in of_kind(objects, *WORKLOADS) if role_of(item) in OURS]


def edited(tree: Path, tmp_path: Path, file: str, old: str, new: str) -> Path:
    """A copy of the tree in which one text of a file is another."""
    folder = tmp_path / "k8s"
    shutil.copytree(tree, folder)
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")
    return folder


def test_every_object_fits_its_schema(objects: list[Json]) -> None:
    custom = custom_schemas()
    for item in objects:
        schema = custom.get((item["apiVersion"], item["kind"]))
        if schema is not None:
            assert problems(item, schema) == [], name(item)
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(item, version, strict=True)


def test_a_misspelt_field_is_found(rendered: dict[str, list[Json]]) -> None:
    custom = custom_schemas()
    for item in rendered["everything"]:
        wrong = copy.deepcopy(item)
        (wrong.get("spec") or wrong)["replicsa"] = 3
        schema = custom.get((item["apiVersion"], item["kind"]))
        if schema is not None:
            assert problems(wrong, schema), name(item)
        else:
            with pytest.raises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


def test_every_pod_may_do_as_little_as_restricted_asks(objects: list[Json]) -> None:
    (namespace,) = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for item in of_kind(objects, *WORKLOADS):
        assert list(below_restricted(item)) == [], name(item)


def test_every_pod_of_ours_is_read_only_and_knows_nothing_of_the_cluster(objects: list[Json]) -> None:
    assert {role_of(item) for item in own(objects)} >= set(OURS[:4])
    for item in own(objects):
        spec = pod_of(item)["spec"]
        assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
        assert spec["serviceAccountName"] == "sluice"
        (container,) = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
        writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable <= {"tmp", "storage"}
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_roles_ports_and_probes_are_those_of_the_code(objects: list[Json]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    metrics = int(re.findall(r"SLUICE_METRICS_PORT=(\d+)", dockerfile)[0])
    for item in own(objects):
        (container,) = containers(item)
        (role,) = container["args"]
        assert role in {*ROLES, "kibana"} and role_of(item) == f"sluice-{role}"
        if item["kind"] == "Job":
            continue
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"metrics": metrics} | (
            {"http": Settings.model_fields["api_port"].default} if role == "api" else {}
        )
        probes = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert [probes[probe]["path"] for probe in probes] == ["/healthz", "/readyz", "/healthz"]
        # The API's own port may speak TLS, and has a limit of connections.
        assert {probe["port"] for probe in probes.values()} == {"metrics"}
        assert not any("scheme" in probe for probe in probes.values())
        assert pod_of(item)["spec"]["terminationGracePeriodSeconds"] >= 20


def test_every_variable_is_a_setting_with_a_possible_value(objects: list[Json]) -> None:
    for item in own(objects):
        given = settings_of(objects, item)
        fields = {variable: variable.removeprefix("SLUICE_").lower() for variable in given}
        assert set(fields.values()) <= set(Settings.model_fields), name(item)
        Settings(**{fields[variable]: value for variable, value in given.items() if value})


def test_jobs_have_the_settings_of_the_others(objects: list[Json]) -> None:
    maps = {name(item): item["data"] for item in of_kind(objects, "ConfigMap")}
    (hashed,) = [data for each, data in maps.items() if re.fullmatch(r"sluice-settings-\w{10}", each)]
    alone = {key for key in hashed if key.startswith(("SLUICE_STORAGE", "SLUICE_S3"))}
    assert maps["sluice-job-settings"] == {key: value for key, value in hashed.items() if key not in alone}
    for item in own(objects):
        (source,) = [each["configMapRef"]["name"] for each in containers(item)[0]["envFrom"] if "configMapRef" in each]
        assert (source == "sluice-job-settings") == (item["kind"] == "Job")


def test_what_is_referred_to_is_there(objects: list[Json]) -> None:
    secrets = {name(item) for item in of_kind(objects, "Secret", "KafkaUser")} | set(FROM_OPERATORS)
    maps = {name(item) for item in of_kind(objects, "ConfigMap")}
    claims = {name(item) for item in of_kind(objects, "PersistentVolumeClaim")}
    documented = (ROOT / "docs" / "deploying.md").read_text("utf-8")
    for item in own(objects):
        spec = pod_of(item)["spec"]
        for volume in spec["volumes"]:
            assert volume.get("secret", {}).get("secretName", "sluice-cluster-ca-cert") in secrets
            assert volume.get("configMap", {}).get("name", "sluice-job-settings") in maps
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "sluice-storage") in claims
        for variable in spec["containers"][0].get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef", {"name": "sluice-es-elastic-user"})
            assert reference["name"] in secrets
        for source in spec["containers"][0]["envFrom"]:
            secret = source.get("secretRef")
            if secret and not secret.get("optional"):
                assert secret["name"] in secrets or f"generic {secret['name']}" in documented


def test_only_the_api_has_the_keys_of_callers(objects: list[Json]) -> None:
    for item in own(objects):
        role = role_of(item).removeprefix("sluice-")
        names = [each["secretRef"]["name"] for each in containers(item)[0]["envFrom"] if "secretRef" in each]
        assert [each.startswith(f"sluice-{role}-secrets") for each in names] == [True]


def test_selectors_select(objects: list[Json]) -> None:
    pods = [labels_of(item) for item in of_kind(objects, *WORKLOADS)]
    for item in of_kind(objects, "Deployment", "StatefulSet"):
        assert selects(item["spec"]["selector"], labels_of(item))
    for item in of_kind(objects, "Service"):
        assert sum(selects({"matchLabels": item["spec"]["selector"]}, labels) for labels in pods) == 1
    for item in of_kind(objects, "PodDisruptionBudget"):
        assert sum(selects(item["spec"]["selector"], labels) for labels in pods) == 1
    for item in of_kind(objects, "NetworkPolicy"):
        assert any(selects(item["spec"]["podSelector"], labels) for labels in pods), name(item)
    for item in of_kind(objects, "PodMonitor"):
        found = [labels["app.kubernetes.io/name"] for labels in pods if selects(item["spec"]["selector"], labels)]
        assert sorted(found) == ["sluice-api", "sluice-ingest", "sluice-worker"]


def test_nothing_goes_in_or_out_of_a_pod_but_what_a_policy_lists(objects: list[Json]) -> None:
    policies = of_kind(objects, "NetworkPolicy")
    for item in own(objects):
        closed = [
            policy
            for policy in policies
            if selects(policy["spec"]["podSelector"], labels_of(item))
            and not policy["spec"].keys() & {"ingress", "egress"}
        ]
        assert [policy["spec"]["policyTypes"] for policy in closed] == [["Ingress", "Egress"]]
        rules = [
            rule
            for policy in policies
            if selects(policy["spec"]["podSelector"], labels_of(item))
            for rule in policy["spec"].get("egress", [])
        ]
        open_ports = {port["port"] for rule in rules for port in rule["ports"]}
        given = settings_of(objects, item)
        wanted = [given["SLUICE_KIBANA_URL"]] if role_of(item) == "sluice-kibana" else []
        if role_of(item) != "sluice-kibana":
            wanted = [given["SLUICE_KAFKA_BOOTSTRAP"], given["SLUICE_ELASTICSEARCH_URL"]]
        for address in wanted:
            assert int(address.rpartition(":")[2]) in open_ports, (name(item), address)


def test_names_of_servers_are_those_of_services(objects: list[Json]) -> None:
    services = {name(item): {port["port"] for port in item["spec"]["ports"]} for item in of_kind(objects, "Service")}
    for kind, form in (("Kafka", "{}-kafka-bootstrap"), ("Elasticsearch", "{}-es-http"), ("Kibana", "{}-kb-http")):
        for item in of_kind(objects, kind):
            made = form.format(name(item))
            services[made] = {OPERATORS_SERVICES[made]}
    for item in own(objects):
        given = settings_of(objects, item)
        addresses = [given["SLUICE_KAFKA_BOOTSTRAP"], given["SLUICE_ELASTICSEARCH_URL"], given.get("SLUICE_KIBANA_URL")]
        for address in filter(None, addresses):
            host, port = address.rpartition("/")[2].split(":")
            assert int(port) in services[host], address


def test_every_topic_has_those_who_may_write_and_read_it(rendered: dict[str, list[Json]]) -> None:
    users = {name(item): item["spec"]["authorization"]["acls"] for item in of_kind(rendered["prod"], "KafkaUser")}
    allowed: dict[str, set[str]] = {}
    for acls in users.values():
        for acl in acls:
            if acl["resource"]["type"] == "topic" and acl["resource"]["patternType"] == "literal":
                allowed.setdefault(acl["resource"]["name"], set()).update(acl["operations"])
    prefix = Settings.model_fields["prefix"].default
    assert set(allowed) == {topic.name for topic in topics(prefix, 1)}
    assert [topic for topic, operations in allowed.items() if not operations >= {"Describe", "Read", "Write"}] == []
    for item in own(rendered["prod"]):
        if role_of(item) != "sluice-kibana":
            assert settings_of(rendered["prod"], item)["SLUICE_KAFKA_USERNAME"] in users


def test_the_rights_of_kafkas_users_are_those_of_the_code() -> None:
    assert USERS.read_text("utf-8") == kafka_users(), "python -m tests.support.k8s.manifests"


def test_kafka_keeps_what_it_has_confirmed(rendered: dict[str, list[Json]]) -> None:
    (kafka,), (pool,) = of_kind(rendered["prod"], "Kafka"), of_kind(rendered["prod"], "KafkaNodePool")
    given = settings_of(rendered["prod"], own(rendered["prod"])[0])
    config = kafka["spec"]["kafka"]["config"]
    assert (
        int(given["SLUICE_TOPIC_REPLICATION"]) == config["default.replication.factor"] == pool["spec"]["replicas"] == 3
    )
    assert config["min.insync.replicas"] == config["transaction.state.log.min.isr"] == 2


def test_brokers_start_on_nodes_without_a_label_unless_zones_are_asked_for(rendered: dict[str, list[Json]]) -> None:
    """Strimzi makes a required affinity to nodes with the label of `rack`."""
    racks = {}
    for overlay in ("prod", "everything"):
        (kafka,) = of_kind(rendered[overlay], "Kafka")
        racks[overlay] = kafka["spec"]["kafka"].get("rack")
    assert racks == {"prod": None, "everything": {"topologyKey": "topology.kubernetes.io/zone"}}
    for item in rendered["prod"]:
        assert "nodeAffinity" not in yaml.safe_dump(item) and "DoNotSchedule" not in yaml.safe_dump(item), name(item)


def test_every_component_is_documented() -> None:
    documented = (ROOT / "docs" / "deploying.md").read_text("utf-8")
    assert [each for each in COMPONENTS if f"| `components/{each}` |" not in documented] == []


def test_there_are_never_more_workers_than_partitions(rendered: dict[str, list[Json]]) -> None:
    objects = rendered["prod"]
    (scaled,) = of_kind(objects, "ScaledObject")
    target = scaled["spec"]["scaleTargetRef"]["name"]
    (worker,) = [item for item in of_kind(objects, "Deployment") if name(item) == target]
    assert scaled["spec"]["maxReplicaCount"] == int(settings_of(objects, worker)["SLUICE_TOPIC_PARTITIONS"])
    assert "replicas" not in worker["spec"]


def test_the_api_the_readers_and_the_workers_have_one_storage_folder(objects: list[Json]) -> None:
    """Files go through it, and the keys that readers seal blocks with and workers open them with."""
    (folder,) = re.findall(r"SLUICE_STORAGE=(\S+)", (ROOT / "Dockerfile").read_text("utf-8"))
    roles = {role_of(item): item for item in of_kind(objects, "Deployment")}
    assert roles.keys() == {"sluice-api", "sluice-ingest", "sluice-worker"}
    for item in roles.values():
        spec = pod_of(item)["spec"]
        claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
        assert claims[mounts[folder]["name"]] == {"claimName": "sluice-storage"}, name(item)
        assert not mounts[folder].keys() & {"subPath", "readOnly"}


def test_a_volume_that_one_node_can_write_keeps_its_pods_to_this_node(rendered: dict[str, list[Json]]) -> None:
    modes = {}
    for overlay in ("prod", "everything"):  # `dev` is for a cluster of one node
        objects = rendered[overlay]
        (claim,) = of_kind(objects, "PersistentVolumeClaim")
        (modes[overlay],) = claim["spec"]["accessModes"]
        for item in of_kind(objects, "Deployment"):
            near = pod_of(item)["spec"].get("affinity", {}).get("podAffinity", {})
            terms = near.get("requiredDuringSchedulingIgnoredDuringExecution", [])
            assert len(terms) == (modes[overlay] == "ReadWriteOnce"), name(item)
            for term in terms:
                assert term["topologyKey"] == "kubernetes.io/hostname"
                assert all(selects(term["labelSelector"], labels_of(other)) for other in of_kind(objects, "Deployment"))
    assert modes == {"prod": "ReadWriteMany", "everything": "ReadWriteOnce"}


MINIKUBE = {"cpu": 2.0, "memory": 4 * 2.0**30}
"""The processors that minikube gives its node by default, and the memory that docs/deploying.md asks for."""
KUBERNETES_OWN = {"cpu": 0.75, "memory": 0.3 * 2.0**30}
"""What the pods of such a node's kube-system request: etcd, the API server, its controllers, the scheduler, CoreDNS."""


def quantity(text: object) -> float:
    """A quantity of Kubernetes as a number."""
    number, unit = re.fullmatch(r"([\d.]+)(m|Ki|Mi|Gi)?", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * {None: 1, "m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}[unit]


@pytest.mark.parametrize("what", ["cpu", "memory"])
def test_all_pods_of_the_trial_fit_a_small_node_also_during_a_rollout(
    rendered: dict[str, list[Json]], what: str
) -> None:
    wanted = KUBERNETES_OWN[what]
    for item in of_kind(rendered["dev"], *WORKLOADS):
        pods = item["spec"].get("replicas", 1)
        pods += item["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 0)
        wanted += pods * sum(quantity(container["resources"]["requests"][what]) for container in containers(item))
    assert round(wanted, 3) <= MINIKUBE[what]


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_a_new_tag_makes_jobs_of_its_own(tree: Path, tmp_path: Path, overlay: str) -> None:
    """A Job's pods can't be changed: applied under the same name, Kubernetes would refuse them."""
    before = render(tree / "overlays" / overlay)
    folder = edited(tree, tmp_path, f"overlays/{overlay}/kustomization.yaml", f"newTag: {VERSION}", "newTag: 9.8.7")
    after = render(folder / "overlays" / overlay)
    names = [{name(item) for item in of_kind(objects, "Job")} for objects in (before, after)]
    assert all(each.endswith(f"-{VERSION}") for each in names[0]) and all(each.endswith("-9.8.7") for each in names[1])
    assert all(container["image"].endswith("sluice:9.8.7") for item in own(after) for container in containers(item))


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_documented_patch_has_migrate_add_partitions(tree: Path, tmp_path: Path, overlay: str) -> None:
    guide = (ROOT / "docs" / "deploying.md").read_text("utf-8")
    (patch,) = re.findall(r"### More partitions.*?```yaml\npatches:\n(.*?)```", guide, re.DOTALL)
    folder = tmp_path / "k8s"
    shutil.copytree(tree, folder)
    file = folder / "overlays" / overlay / "kustomization.yaml"
    text = file.read_text("utf-8")
    file.write_text(
        text.replace("patches:\n", f"patches:\n{patch}") if "\npatches:" in text else f"{text}patches:\n{patch}"
    )
    before, after = render(tree / "overlays" / overlay), render(folder / "overlays" / overlay)
    changed = [item for old, item in zip(before, after, strict=True) if old != item]
    (migrate,) = changed
    (container,) = containers(migrate)
    role, *options = container["args"]
    assert role == "migrate"
    asked = arguments().parse_args(options)
    assert asked.partitions == 16 and f"SLUICE_TOPIC_PARTITIONS={asked.partitions}" in guide


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_a_changed_setting_makes_new_pods_and_leaves_jobs_alone(tree: Path, tmp_path: Path, overlay: str) -> None:
    before = render(tree / "overlays" / overlay)
    folder = edited(tree, tmp_path, "base/settings.env", "SLUICE_TOPIC_PARTITIONS=8", "SLUICE_TOPIC_PARTITIONS=16")
    if overlay == "prod":
        (folder / "overlays/prod/settings.env").write_text("SLUICE_TOPIC_PARTITIONS=16\n", "utf-8")
    after = render(folder / "overlays" / overlay)
    for old, new in zip(of_kind(before, "Deployment"), of_kind(after, "Deployment"), strict=True):
        assert pod_of(old) != pod_of(new), name(old)
    assert of_kind(before, "Job") == of_kind(after, "Job")
    assert settings_of(after, of_kind(after, "Job")[-1])["SLUICE_TOPIC_PARTITIONS"] == "16"


def test_the_images_are_of_this_version_and_those_of_compose(rendered: dict[str, list[Json]]) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    for item in of_kind(rendered["dev"], *WORKLOADS):
        (container,) = containers(item)
        if role_of(item) in OURS:
            assert container["image"] == f"sluice:{VERSION}"
        else:
            assert container["image"] == compose[role_of(item)]["image"]
    (elasticsearch,), (kibana,) = of_kind(rendered["prod"], "Elasticsearch"), of_kind(rendered["prod"], "Kibana")
    assert compose["elasticsearch"]["image"] == f"elasticsearch:{elasticsearch['spec']['version']}"
    assert compose["kibana"]["image"] == f"kibana:{kibana['spec']['version']}"


def test_the_patch_of_the_dashboards_is_that_of_the_base() -> None:
    """A component can't reach into the base's folder."""
    files = [K8S / folder / "locked-down.yaml" for folder in ("base", "components/dashboards")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_alert_rules_are_those_of_prometheus() -> None:
    assert RULES.read_text("utf-8") == alert_rules(), "python -m tests.support.k8s.manifests"
    groups = yaml.safe_load((ROOT / "monitoring" / "alerts.yaml").read_text("utf-8"))["groups"]
    assert yaml.safe_load(RULES.read_text("utf-8"))["spec"]["groups"] == groups
