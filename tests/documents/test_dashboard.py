"""Each metric and label in the dashboard and in docs/monitoring.md exists in /metrics."""

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
PROMETHEUS_LABELS = {"job", "instance"}  # Prometheus adds them to every sample
Labels = dict[str, set[str]]


def dashboard() -> Any:
    return json.loads((ROOT / "docs/grafana.json").read_text())


def expressions() -> list[str]:
    """The expressions in the dashboard's panels and variables, and in the alerts."""
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    variables = [variable["definition"] for variable in dashboard()["templating"]["list"] if "definition" in variable]
    return [*panels, *variables, *re.findall(r"expr: (.*)", (ROOT / "docs/monitoring.md").read_text())]


@pytest.fixture
async def labels_of_samples(as_alice: Caller) -> Labels:
    """The labels of each sample of an application that has done work of every kind."""
    await as_alice.post("list_tasks")
    await as_alice.mcp("delete_task", task_id=2**40, revision=MODERN)
    await as_alice.http.post("/api/tools/list_tasks")
    await as_alice.http.get("/admin/login/")
    labels: Labels = defaultdict(set)
    for family in text_string_to_metric_families((await as_alice.http.get("/metrics")).text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):  # added by the Prometheus client library
                labels[sample.name] |= set(sample.labels)
    return labels


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric in the expression, and the labels that select it."""
    for name, selector in re.findall(r"((?:todo|process)_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]~?", selector))


async def test_every_metric_and_label_in_an_expression_exists(labels_of_samples: Labels) -> None:
    assert len(expressions()) > 25
    for expression in expressions():
        allowed = set(PROMETHEUS_LABELS)
        for name, labels in selectors(expression):
            assert name in labels_of_samples, expression
            assert labels <= labels_of_samples[name] | PROMETHEUS_LABELS, expression
            allowed |= labels_of_samples[name]
        groups = re.findall(r"(?:by|ignoring|on) \(([^)]*)\)", expression)
        assert {label for group in groups for label in group.split(", ")} <= allowed, expression


def test_every_legend_uses_the_labels_of_its_expressions_result() -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            result_labels = {
                label for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(", ")
            }
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) == result_labels - {"le"}, target["expr"]


def test_the_dashboard_names_no_data_source_and_no_panel_overlaps_another() -> None:
    content = dashboard()
    assert "id" not in content, "Grafana assigns the id"
    targets = [target for panel in content["panels"] for target in panel.get("targets", ())]
    assert {target["datasource"]["uid"] for target in targets} == {"${datasource}"}
    names = {variable["name"] for variable in content["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]+)", json.dumps(content))) <= names
    used_cells: set[tuple[int, int]] = set()
    for position in (panel["gridPos"] for panel in content["panels"]):
        cells = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert not cells & used_cells and position["x"] + position["w"] <= 24
        used_cells |= cells
    ids = [panel["id"] for panel in content["panels"]]
    assert len(ids) == len(set(ids))


async def test_the_table_of_metrics_matches_the_application(labels_of_samples: Labels) -> None:
    text = (ROOT / "docs/monitoring.md").read_text()
    rows = {name: line for line in text.splitlines() for name in re.findall(r"^\| `(todo_\w+)`", line)}
    assert set(rows) == {
        re.sub("_(?:bucket|sum|count)$", "", name) for name in labels_of_samples if name.startswith("todo_")
    }
    for name, line in rows.items():
        labels = labels_of_samples.get(name) or labels_of_samples.get(f"{name}_count") or set()
        documented_labels = set(re.findall(r"`(\w+)`", line.split("|")[3]))
        if "the same" not in line:
            assert documented_labels == labels, name
