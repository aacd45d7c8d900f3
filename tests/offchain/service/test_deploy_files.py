"""The files in deploy/ name only what exists: metrics, labels, and chapters of the guide."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from clearwatt.service import metrics

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "oracles.json"
GUIDE = ROOT / "docs" / "operators.md"

SUFFIXES = {
    "counter": ["_total"],
    "gauge": [""],
    "histogram": ["_bucket", "_sum", "_count"],
    "info": ["_info"],
}
ADDED_BY_PROMETHEUS = {"instance", "job", "le"}
NAME = r"\b(?:clearwatt|process|python)_\w+|\bup\b"


@cache
def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@cache
def panels() -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@cache
def expressions() -> list[str]:
    targets = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in rules()] + targets


@cache
def series() -> set[str]:
    """Names under which a scrape finds our metrics."""
    families = list(metrics.REGISTRY.collect())
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]} | {"up"}


@cache
def labels() -> dict[str, set[str]]:
    """Labels by series, apart from those of metrics that have none."""
    found: dict[str, set[str]] = {}
    for collector in vars(metrics).values():
        if isinstance(collector, MetricWrapperBase | metrics.GaugesByLabel):
            names = {
                *getattr(collector, "_labelnames", ()),
                *filter(None, [getattr(collector, "_label", "")]),
            }
            for family in collector.collect():
                found |= {family.name + suffix: names for suffix in SUFFIXES[family.type]}
    return found


def named(expression: str) -> set[str]:
    return set(re.findall(NAME, expression))


def selectors(expression: str) -> list[tuple[str, str, str]]:
    """Series, label and what it is compared with, for every label in braces."""
    found = re.findall(r"(\w+)\{([^}]*)\}", expression)
    matchers = [
        (name, pair) for name, inside in found for pair in re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', inside)
    ]
    return [(name, label, value) for name, (label, value) in matchers]


# ------------------------------------------------------------ alerts and dashboard


def test_expressions__every_metric__exists() -> None:
    assert {name for expression in expressions() for name in named(expression)} - series() == set()


def test_expressions__every_label__is_one_of_its_metric() -> None:
    selected = [selector for expression in expressions() for selector in selectors(expression)]
    assert ("clearwatt_auctions", "stage", "void") in selected
    for name, label, _ in selected:
        assert label in labels().get(name, set()) | ADDED_BY_PROMETHEUS, (name, label)


def test_expressions__every_stage__exists() -> None:
    stages = [value for text in expressions() for _, label, value in selectors(text) if label == "stage"]
    assert {stage for value in stages for stage in value.split("|")} <= set(metrics.STAGES)


def test_expressions__grouping__by_labels_of_the_metric() -> None:
    for expression in expressions():
        have = {
            label for name in named(expression) for label in labels().get(name, set())
        } | ADDED_BY_PROMETHEUS
        for inside in re.findall(r"\bby \(([^)]*)\)", expression):
            assert set(re.findall(r"\w+", inside)) <= have, expression


def test_expressions__every_metric_of_ours__is_set_somewhere() -> None:
    """Else an alert would be silent for ever, or never be."""
    programs = [path for path in (ROOT / "offchain" / "clearwatt").rglob("*.py") if path.name != "metrics.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in programs)
    names = {
        family.name + suffix: constant
        for constant, collector in vars(metrics).items()
        if isinstance(collector, MetricWrapperBase | metrics.GaugesByLabel)
        for family in collector.collect()
        for suffix in SUFFIXES[family.type]
    }
    used = {name for expression in expressions() for name in named(expression) if name in names}
    assert len(used) > 20
    assert {name for name in used if not re.search(rf"\bmetrics\.{names[name]}\b", text)} == set()


def test_alerts__names_and_texts__complete() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 20
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/operators.md#{rule['alert'].lower()}"


def test_alerts__labels_in_summaries__are_left_by_the_expression() -> None:
    for rule in rules():
        wanted = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        have = {label for name in named(rule["expr"]) for label in labels().get(name, set())} | {"instance"}
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"\bsum by \(([^)]*)\)", rule["expr"])))) or have
        assert wanted <= kept, rule["alert"]


def test_dashboard__panels__lie_side_by_side_and_have_titles() -> None:
    assert len({panel["title"] for panel in panels()}) == len(panels()) > 20
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yaml"),
        ("check", "rules", "alerts.yaml"),
        ("test", "rules", "alerts.test.yaml"),
    ],
)
def test_prometheus__its_own_checks__pass(command: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
