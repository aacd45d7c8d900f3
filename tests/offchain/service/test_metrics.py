"""Names and labels of the metrics, and gauges whose labels come and go."""

import re

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from clearwatt.service import metrics

OURS = [family for family in metrics.REGISTRY.collect() if family.name.startswith("clearwatt")]


def exposed(name: str) -> dict[str, float]:
    """What a scrape reads of a gauge with one label."""
    text = generate_latest(metrics.REGISTRY).decode()
    for family in text_string_to_metric_families(text):
        if family.name == name:
            return {next(iter(sample.labels.values())): sample.value for sample in family.samples}
    return {}


def test_registry__every_metric__is_explained_and_named_by_the_rules() -> None:
    assert len(OURS) > 30
    for family in OURS:
        assert family.documentation.endswith("."), family.name
        assert re.fullmatch(r"clearwatt[a-z_]*", family.name), family.name


def test_registry__labels__none_names_a_household() -> None:
    collectors = {name: value for name, value in vars(metrics).items() if hasattr(value, "_labelnames")}
    labels = {label for collector in collectors.values() for label in collector._labelnames}
    allowed = {"outcome", "endpoint", "reason", "kind", "transport", "rule", "peer", "subject", "action"}
    assert labels <= allowed | {"method", "route", "status"}


def test_memory__of_this_process__is_exposed() -> None:
    assert metrics.REGISTRY.get_sample_value("process_resident_memory_bytes") > 10_000_000  # type: ignore[operator]


def test_auctions__some_stages_named__the_others_are_zero() -> None:
    metrics.AUCTIONS.show({"open": 2, "void": 1})
    assert exposed("clearwatt_auctions") == dict.fromkeys(metrics.STAGES, 0) | {"open": 2, "void": 1}


def test_missing_meters__auction_no_longer_shown__is_gone() -> None:
    metrics.MISSING_METERS.show({"7": 3, "8": 1})
    assert exposed("clearwatt_missing_meters") == {"7": 3, "8": 1}
    metrics.MISSING_METERS.show({"8": 2})
    assert exposed("clearwatt_missing_meters") == {"8": 2}


def test_show__values_changed_by_the_caller_afterwards__do_not_matter() -> None:
    values = {"9": 1.0}
    metrics.MISSING_METERS.show(values)
    values["9"] = 5.0
    assert exposed("clearwatt_missing_meters") == {"9": 1}


def test_message_count__unknown_label__is_an_error() -> None:
    with pytest.raises(ValueError, match="Incorrect label"):
        metrics.MESSAGES.labels("statement", "stored")
