"""The dashboard and docs/monitoring.md ask for what is there: each metric and label in them is one of /metrics."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN
from tests.support.server_process import ROOT

pytestmark = pytest.mark.anyio
OF_PROMETHEUS = {"job", "instance"}  # it adds them to whatever it reads
Labels = dict[str, set[str]]


def dashboard() -> Any:
    return json.loads((ROOT / "docs/grafana.json").read_text())


def expressions() -> list[str]:
    """Of the dashboard's panels and variables, and of the alerts."""
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    variables = [variable["definition"] for variable in dashboard()["templating"]["list"] if "definition" in variable]
    return [*panels, *variables, *re.findall(r"expr: (.*)", (ROOT / "docs/monitoring.md").read_text())]


@pytest.fixture
async def told(as_alice: Caller) -> Labels:
    """The labels of each sample of a running application that has had work of every kind."""
    await as_alice.post("list_tasks")
    await as_alice.mcp("delete_task", task_id=2**40, revision=MODERN)
    await as_alice.http.post("/api/tools/list_tasks")
    await as_alice.http.get("/admin/login/")
    labels: Labels = defaultdict(set)
    for family in text_string_to_metric_families((await as_alice.http.get("/metrics")).text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):  # the client's own idea
                labels[sample.name] |= set(sample.labels)
    return labels


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric in it, and the labels that it is chosen by."""
    for name, chosen in re.findall(r"((?:todo|process)_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]~?", chosen))


async def test_every_metric_and_label_that_is_asked_for_is_there(told: Labels) -> None:
    assert len(expressions()) > 25
    for expression in expressions():
        known = set(OF_PROMETHEUS)
        for name, chosen in selectors(expression):
            assert name in told, expression
            assert chosen <= told[name] | OF_PROMETHEUS, expression
            known |= told[name]
        grouped = re.findall(r"(?:by|ignoring|on) \(([^)]*)\)", expression)
        assert {label for group in grouped for label in group.split(", ")} <= known, expression


def test_every_legend_names_labels_that_its_expression_keeps() -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            kept = {label for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(", ")}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) == kept - {"le"}, target["expr"]


def test_the_dashboard_belongs_to_no_data_source_and_no_panel_hides_another() -> None:
    found = dashboard()
    assert "id" not in found, "Grafana gives it one"
    targets = [target for panel in found["panels"] for target in panel.get("targets", ())]
    assert {target["datasource"]["uid"] for target in targets} == {"${datasource}"}
    names = {variable["name"] for variable in found["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]+)", json.dumps(found))) <= names
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in found["panels"]):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))


async def test_the_table_of_metrics_is_that_of_the_application(told: Labels) -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    rows = {name: line for line in text.splitlines() for name in re.findall(r"^\| `(todo_\w+)`", line)}
    assert set(rows) == {re.sub("_(?:bucket|sum|count)$", "", name) for name in told if name.startswith("todo_")}
    for name, line in rows.items():
        labels = told.get(name) or told.get(f"{name}_count") or set()
        said = set(re.findall(r"`(\w+)`", line.split("|")[3]))
        if "the same" not in line:
            assert said == labels, name
