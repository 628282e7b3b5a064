"""The saved objects: current, whole, of fields that exist, and in the form that Kibana 9 takes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from kibana.catalog import CHARTS, DASHBOARDS, FILE, saved_objects, text
from kibana.dashboards import WIDTH
from kibana.jobs_now import NOT_OVER
from kibana.objects import TYPE_VERSIONS
from kibana.views import View
from schemas.indices import REPORT_MAPPINGS
from schemas.job import ENDED, State
from tests.support.stubs.lens import Lens

Json = dict[str, Any]
LINES: list[Json] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
LENSES = [line for line in LINES if line["type"] == "lens"]
BOARDS = [line for line in LINES if line["type"] == "dashboard"]

TYPES = {"string": {"keyword"}, "number": {"long", "integer", "double"}, "date": {"date"}}
"""What Lens calls a field -> what Elasticsearch may call it."""
COUNTED = "___records___"


def named(lines: list[Json]) -> Any:
    return pytest.mark.parametrize("saved", lines, ids=[line["id"] for line in lines])


def types_of(report: str) -> dict[str, str]:
    """Field -> type, of a report's index; an alias has the type of what it stands for."""

    def flat(properties: Json, above: str = "") -> Iterator[tuple[str, Json]]:
        for name, kind in properties.items():
            if "properties" in kind:
                yield from flat(kind["properties"], f"{above}{name}.")
            else:
                yield f"{above}{name}", kind

    kinds = dict(flat(REPORT_MAPPINGS[report]["properties"]))
    return {name: kinds[kind["path"]]["type"] if "path" in kind else kind["type"] for name, kind in kinds.items()}


def report_of(index: str) -> str:
    return index.removeprefix("sluice-")


def used(saved: Json) -> list[Json]:
    """The columns of a chart, and what they are ordered by."""
    columns = list(Lens(saved).columns.values())
    return columns + [column["params"]["orderAgg"] for column in columns if "orderAgg" in column["params"]]


def test_the_file_is_what_the_code_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "run `python -m kibana`"


def test_ids_are_unique_and_the_known_ones_stay() -> None:
    assert [line for line, times in Counter((line["type"], line["id"]) for line in LINES).items() if times > 1] == []
    assert [line["id"] for line in BOARDS] == ["sluice-jobs-now", "sluice-one-job", "sluice-row-errors"]
    assert len(LENSES) == len({chart.name for board in DASHBOARDS for chart in board.charts}) == len(CHARTS)


def test_another_installation_has_objects_of_its_own() -> None:
    other = saved_objects("staging")
    assert {item.id for item in other} & {line["id"] for line in LINES} == set()
    assert all(item.id.startswith("staging-") and item.title.startswith("Staging: ") for item in other)
    assert {reference.id for item in other for reference in item.references} <= {item.id for item in other}


@named(LINES)
def test_an_object_says_which_version_it_is_of_and_refers_to_what_is_there(saved: Json) -> None:
    assert saved["coreMigrationVersion"] == "8.8.0"
    assert saved["typeMigrationVersion"] == TYPE_VERSIONS[saved["type"]]
    there = {(line["type"], line["id"]) for line in LINES}
    assert [reference for reference in saved["references"] if (reference["type"], reference["id"]) not in there] == []
    names = [reference["name"] for reference in saved["references"]]
    assert len(names) == len(set(names))


@named(LINES)
def test_an_object_has_the_attributes_of_its_type_and_no_others(saved: Json) -> None:
    known = {
        "index-pattern": {"title": str, "name": str, "timeFieldName": str},
        "lens": {"title": str, "description": str, "visualizationType": str, "state": dict},
        "dashboard": {
            "title": str,
            "description": str,
            "kibanaSavedObjectMeta": dict,
            "timeRestore": bool,
            "timeFrom": str,
            "timeTo": str,
            "refreshInterval": dict,
            "controlGroupInput": dict,
            "panelsJSON": str,
            "optionsJSON": str,
        },
    }[saved["type"]]
    assert {name: type(value) for name, value in saved["attributes"].items()}.items() <= known.items()


@pytest.mark.parametrize("view", View)
def test_a_data_view_is_of_a_report_and_its_time_field_is_a_date(view: View) -> None:
    types = types_of(view.report)
    assert view.time_field is None or types[view.time_field] == "date"


@named(LENSES)
def test_every_field_of_a_chart_is_mapped_with_its_type(saved: Json) -> None:
    types = types_of(report_of(Lens(saved).index))
    wrong = [
        (column["sourceField"], column["dataType"])
        for column in used(saved)
        if column["sourceField"] != COUNTED and types.get(column["sourceField"]) not in TYPES[column["dataType"]]
    ]
    assert wrong == []


@named(LENSES)
def test_a_chart_shows_columns_that_it_has(saved: Json) -> None:
    chart = Lens(saved)
    look = saved["attributes"]["state"]["visualization"]
    match saved["attributes"]["visualizationType"]:
        case "lnsMetric":
            assert look["metricAccessor"] in chart.numbers
            assert chart.buckets == ([look["breakdownByAccessor"]] if chart.buckets else [])
        case "lnsDatatable":
            assert [column["columnId"] for column in look["columns"]] == list(chart.columns)
        case "lnsXY":
            (layer,) = look["layers"]
            assert layer["accessors"] == chart.numbers
            split = {layer["splitAccessor"]} if "splitAccessor" in layer else set()
            assert {layer["xAccessor"], *split} == set(chart.buckets)
        case other:
            pytest.fail(f"{other} is not known here")


@named(LENSES)
def test_a_chart_orders_by_a_number_that_it_has(saved: Json) -> None:
    chart = Lens(saved)
    orders = [chart.columns[name]["params"].get("orderBy", {}) for name in chart.buckets]
    assert {order["columnId"] for order in orders if order.get("type") == "column"} <= set(chart.numbers)


@named(LENSES)
def test_what_is_cumulative_of_a_lane_is_never_mixed_with_other_lanes(saved: Json) -> None:
    """The highest of several lanes would be one lane's, and the sum over time would count rows again and again."""
    chart = Lens(saved)
    cumulative = [
        column
        for column in chart.columns.values()
        if column["sourceField"].startswith("totals.") or column["sourceField"] in ("share", "refused", "parked_blocks")
    ]
    if not cumulative:
        return
    assert "lane" in {chart.columns[name]["sourceField"] for name in chart.buckets}
    assert {column["operationType"] for column in cumulative} <= {"max", "last_value"}
    assert chart.summed_over <= {"lane"}
    if chart.summed_over:  # a date that is added up is none
        assert {chart.columns[name]["dataType"] for name in chart.numbers} == {"number"}


@named(BOARDS)
def test_the_tiles_of_a_dashboard_fill_its_width_and_do_not_overlap(saved: Json) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in json.loads(saved["attributes"]["panelsJSON"]):
        grid = panel["gridData"]
        assert panel["panelIndex"] == grid["i"] and panel["type"] == "lens"
        taken.update(
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        )
    assert set(taken.values()) == {1}
    assert {x for x, _ in taken} == set(range(WIDTH))


@named(BOARDS)
def test_the_panels_and_lists_of_a_dashboard_find_their_references(saved: Json) -> None:
    panels = json.loads(saved["attributes"]["panelsJSON"])
    controls = json.loads(saved["attributes"]["controlGroupInput"]["panelsJSON"])
    wanted = {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}
    wanted |= {f"controlGroup_{name}:optionsListDataView" for name in controls}
    assert {reference["name"] for reference in saved["references"]} == wanted
    assert all(control["explicitInput"]["id"] == name for name, control in controls.items())


@named(BOARDS)
def test_what_can_be_chosen_is_a_field_of_everything_on_the_dashboard(saved: Json) -> None:
    """Else a choice would leave the charts of the other reports empty."""
    on_it = {reference["id"] for reference in saved["references"] if reference["type"] == "lens"}
    reports = {report_of(Lens(line).index) for line in LENSES if line["id"] in on_it}
    for control in json.loads(saved["attributes"]["controlGroupInput"]["panelsJSON"]).values():
        field = control["explicitInput"]["fieldName"]
        assert {types_of(report).get(field) for report in reports} == {"keyword"}, field


def test_every_state_is_over_or_not() -> None:
    assert [state for state in State if f'"{state}"' in NOT_OVER] == [state for state in State if state not in ENDED]
