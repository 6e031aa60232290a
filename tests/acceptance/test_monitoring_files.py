"""The dashboard and the rules of deploy/compose ask for what the service's page of figures really shows."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from asked import Asked
from jobs import LABELLED, PENDING, SENSORS, Job, wafers

pytest_plugins = ("job_fixtures",)

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
DASHBOARD = json.loads((COMPOSE / "grafana/dashboards/rowcast.json").read_text())
RULES = yaml.safe_load((COMPOSE / "rules.yml").read_text())


def expressions() -> list[str]:
    """What the dashboard and the rules ask Prometheus for."""
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return panels + [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]


@pytest.fixture
def shown(make_job: Callable[..., Job]) -> Iterator[dict[str, set[str]]]:
    """The labels of each name on the page of figures, once rows were scored and one was refused."""
    job = make_job("sqlite", "trained")
    job.ok("run")
    service = Asked(job)
    rows = [{name: row[name] for name in [*SENSORS, "tool"]} for row in wafers(LABELLED + 1, PENDING, False)]
    assert service.score({"dataframe_records": rows}).status == 200
    assert service.score({"dataframe_records": [rows[0] | {SENSORS[0]: 1e30}]}).status == 422
    found: dict[str, set[str]] = defaultdict(set)
    for line in service.ask("GET", "/metrics").body.decode().splitlines():
        if sample := re.match(r"(rowcast_\w+)(?:\{(.*)\})? ", line):
            found[sample[1]] |= set(re.findall(r"(\w+)=\"", sample[2] or ""))
    yield found
    service.close()


def test_each_name_and_label_that_is_asked_for_is_on_the_page(shown: dict[str, set[str]]) -> None:
    assert len(expressions()) > 20
    for expression in expressions():
        names = re.findall(r"rowcast_\w+", expression)
        assert names
        assert [name for name in names if name not in shown] == [], expression
        asked = {
            label for inside in re.findall(r"\{(.*?)\}", expression) for label in re.findall(r"(\w+)(?:=~|=)", inside)
        }
        asked |= {
            label for inside in re.findall(r"(?:by|on) \((.*?)\)", expression) for label in re.findall(r"\w+", inside)
        }
        assert asked <= set().union(*(shown[name] for name in names)), expression


def test_each_panel_has_a_number_and_a_source_of_its_own() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    sources = yaml.safe_load((COMPOSE / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"] for source in sources}


def test_compose_runs_commands_of_images_that_the_dockerfile_has() -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    dockerfile = (COMPOSE.parent / "Dockerfile").read_text()
    for name in ("watch", "serve"):
        assert re.search(rf" AS {services[name]['build']['target']}$", dockerfile, re.MULTILINE)
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
