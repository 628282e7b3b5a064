"""Alert rules and the dashboard: every metric and label they name is one that a process has, and each has its entry."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import CollectorRegistry

from api.readmodel.job_index import JobIndex
from api.readmodel.metrics import Metrics
from api.webhooks.metrics import WebhookMetrics
from ingest.metrics import ReaderMetrics
from processor.elastic.answers import RequestOutcome
from processor.elastic.bulk import BACKOFF
from processor.metrics import WorkerMetrics
from processor.validation import error_kinds
from processor.validation.error_kinds import KINDS, kind_of
from runtime.settings import Settings
from runtime.telemetry.log_events import EVENTS
from runtime.version import VERSION
from schemas.messages.progress import RowError
from tests.support.places import ROOT

RULES = yaml.safe_load((ROOT / "monitoring" / "alerts.yaml").read_text("utf-8"))
DASHBOARD = json.loads((ROOT / "monitoring" / "dashboard.json").read_text("utf-8"))
GUIDE = ROOT / "docs" / "runbook.md"

ADDED = {"instance", "job"}
"""Labels that Prometheus puts on each series."""
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def fresh() -> list[CollectorRegistry]:
    """The registries of all roles, as they are when a process has started."""
    api = Metrics(JobIndex()).registry
    WebhookMetrics(api)
    return [WorkerMetrics().registry, ReaderMetrics().registry, api]


def exported() -> dict[str, set[str]]:
    """Name of a series -> its labels, of all roles."""
    found: dict[str, set[str]] = {}
    for registry in fresh():
        for collector in list(registry._collector_to_names):
            labels = set(getattr(collector, "_labelnames", ()))
            for metric in collector.collect():
                named = labels | {name for sample in metric.samples for name in sample.labels}
                for suffix in SUFFIXES[metric.type]:
                    more = {"le"} if suffix == "_bucket" else set()
                    found[f"{metric.name}{suffix}"] = named | more
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for rule in alerts():
        yield rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_names_what_processes_export(expression: str) -> None:
    series = exported()
    named = re.findall(r"\b((?:sluice|process)_[a-z_]+)(\{[^}]*\})?", expression)
    assert named
    allowed = set(ADDED)
    for name, matchers in named:
        assert name in series, f"no process exports {name}"
        allowed |= series[name]
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= series[name] | ADDED
    for group in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        assert {name.strip() for name in group.split(",") if name.strip()} <= allowed


@pytest.mark.parametrize("panel", [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"], ids=str)
def test_a_panels_legend_names_labels_of_its_series(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        grouped = {name.strip() for by in re.findall(r"\bby\s*\(([^)]*)\)", target["expr"]) for name in by.split(",")}
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped
    assert panel["datasource"]["uid"] == "${datasource}"


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    text = " ".join(expressions())
    seen = {name.removesuffix("_total") for name in re.findall(r"\bsluice_[a-z_]+", text)}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in seen}
    apart = {"sluice_rows_applied", "sluice_rows_failed", "sluice_reader_blocks"}
    for name in exported():
        plain = re.sub(r"_(bucket|count|sum|total)$", "", name)
        assert plain in shown | apart or plain.startswith("process_"), plain


def there_at_the_start(name: str, matchers: str) -> bool:
    """Whether a process that has just started exports a series with this name and these labels."""
    wanted = re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers)

    def matches(labels: dict[str, str]) -> bool:
        return all(
            (operator in ("=", "=~"))
            == (re.fullmatch(value if "~" in operator else re.escape(value), labels.get(label, "")) is not None)
            for label, operator, value in wanted
        )

    samples = (sample for registry in fresh() for metric in registry.collect() for sample in metric.samples)
    return any(sample.name == name and matches(sample.labels) for sample in samples)


def counted(expression: str) -> list[tuple[str, str]]:
    """The series, each with its matchers, whose first event decides whether an expression is true.

    An increase that is compared with a number above zero loses one event of a series that begins with it, and what
    stands behind `unless` may be absent.
    """
    expression = re.sub(r"unless on\(\) \(.*\)", "", expression)
    if re.search(r"[<>]=?\s*(0\.\d*[1-9]|[1-9]\d*(\.\d+)?)\s*$", expression):
        return []
    return re.findall(r"\b(?:rate|increase)\((sluice_\w+)(\{[^}]*\})?\[", expression)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_what_an_alert_counts_is_there_before_the_first_event(rule: dict[str, Any]) -> None:
    for name, matchers in counted(rule["expr"]):
        assert there_at_the_start(name, matchers), f"{name}{matchers} begins with its first event"


def test_series_are_matched_as_prometheus_does() -> None:
    events = [name for name, _ in counted('sum(increase(sluice_job_events_total{event="Failed"}[15m])) > 0')]
    assert events == ["sluice_job_events_total"]
    assert counted("sum(rate(sluice_worker_rows_total[10m])) == 0") and not counted("increase(sluice_x_total[1m]) > 30")
    assert there_at_the_start("sluice_job_events_total", '{event="Failed"}')
    assert not there_at_the_start("sluice_job_events_total", '{event="Fallen"}')
    assert there_at_the_start("sluice_job_events_total", '{event=~"F.+",event!="FileBegun"}')
    assert not there_at_the_start("sluice_job_events_total", '{event!~".+"}')


def rule(alert: str) -> str:
    (found,) = [rule["expr"] for rule in alerts() if rule["alert"] == alert]
    return str(found)


def test_a_stalled_installation_is_told_whatever_workers_have_exported() -> None:
    assert "unless on() (sum(rate(sluice_worker_rows_total[10m])) > 0)" in rule("SluiceStalled")
    assert counted(rule("SluiceStalled")) == []


def test_the_least_that_one_hanging_worker_fails_is_told() -> None:
    (threshold,) = re.findall(r"> ([\d.]+)$", rule("SluiceElasticsearchFails"))
    least = 1 / (Settings().request_timeout_seconds + BACKOFF.longest)
    assert float(threshold) < least, "with one request in flight"
    matchers = rule("SluiceElasticsearchFails").partition("{")[2].partition("}")[0]
    outcomes = set(get_args(RequestOutcome)) - {"answered"}
    assert all(re.fullmatch(re.findall(r'outcome=~"(.+)"', matchers)[0], outcome) for outcome in outcomes)


def test_every_alert_has_an_entry_of_the_guide() -> None:
    headings = re.findall(r"^#{2,4} (Sluice\w+)$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in alerts())
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_prometheus_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([promtool, "check", "rules", ROOT / "monitoring" / "alerts.yaml"], capture_output=True)
    assert done.returncode == 0, done.stderr


def logged() -> Iterator[str]:
    """The events that the code logs."""
    for folder in ("api", "control", "ingest", "processor", "runtime"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "as_event":
                    name = node.args[0]
                    if isinstance(name, ast.Constant):
                        yield str(name.value)
                    else:
                        assert isinstance(name, ast.JoinedStr)
                        yield from ("partitions.lost", "partitions.released")


def test_the_catalogue_of_events_is_that_of_the_code_and_of_the_guide() -> None:
    assert set(logged()) == set(EVENTS)
    table = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.+?) \|$", GUIDE.read_text("utf-8"), re.MULTILINE))
    assert table == EVENTS


def test_every_log_call_names_its_event() -> None:
    levels = {"info", "warning", "error", "critical", "exception"}
    for folder in ("api", "control", "ingest", "processor", "runtime"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in levels
                    and getattr(node.func.value, "id", "") == "log"
                ):
                    assert any(word.arg == "extra" for word in node.keywords), f"{file}:{node.lineno}"


def test_row_errors_have_few_kinds() -> None:
    reasons = {
        f"email {error_kinds.missing()}": "missing",
        "email is 'x', and no address": "value",
        error_kinds.wrong_count(3, 4): "shape",
        error_kinds.wrong_count(5, 4): "shape",
        error_kinds.repeated("email 'a@b.c'", 7): "duplicate",
        error_kinds.exists("name 'x'", "y"): "duplicate",
        error_kinds.refused("failed to parse"): "refused",
    }
    for reason, kind in reasons.items():
        assert kind_of(RowError(job_id="j", row=1, column="email", reason=reason)) == kind
    assert kind_of(RowError(job_id="j", row=1, reason="a quote is not closed")) == "unreadable"
    assert set(reasons.values()) | {"unreadable"} == set(KINDS)


def test_the_version_is_the_packages() -> None:
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text("utf-8")
