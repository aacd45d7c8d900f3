import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clearwatt.dispatch.files import KINDS, json_schema, read_scenario, scenario_from_dict
from clearwatt.dispatch.scenario import ScenarioError
from clearwatt.errors import UserError

DOCUMENT = {
    "slots": 2,
    "slot_hours": 0.5,
    "grid": {
        "zones": [{"parent": None}, {"parent": 0, "export_kw": 5, "fee": [0.01, 0.02], "name": "feeder"}]
    },
    "connections": [{"name": "home", "zone": 1, "import_kw": [1, 2]}],
    "assets": [
        {"kind": "battery", "name": "battery", "power_kw": 3, "capacity_kwh": 5, "connection": "home"},
        {"kind": "load", "name": "load", "demand_kw": [1, 2]},
        {"kind": "step_bid", "name": "bid", "steps": [[0, 0.1, 2]]},
        {
            "kind": "retailer",
            "name": "retailer",
            "import_price": 0.3,
            "export_price": 0.08,
            "import_kw": 9,
            "export_kw": 9,
        },
    ],
}

YAML = """
slots: 2
slot_hours: 1
assets:
  - {kind: load, name: house, demand_kw: {csv: loads.csv, column: house}}
  - {kind: solar, name: roof, available_kw: [0, 1e-3]}
"""


def changed(change: Callable[[dict], object]) -> dict:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


def asset(index: int, **values: object) -> Callable[[dict], object]:
    return lambda document: document["assets"][index].update(values)


def zone(index: int, **values: object) -> Callable[[dict], object]:
    return lambda document: document["grid"]["zones"][index].update(values)


def test_document__in_order__becomes_the_scenario() -> None:
    scenario = scenario_from_dict(DOCUMENT)

    assert (scenario.slots, scenario.slot_hours, scenario.zones) == (2, 0.5, 2)
    assert scenario.grid.zone_name(1) == "feeder"
    assert scenario.grid.zones[1].fee.tolist() == [0.01, 0.02]
    assert [part.kind for part in scenario.assets] == ["battery", "load", "step_bid", "retailer"]
    assert scenario.zone_of(scenario.assets[0]) == 1
    assert scenario.assets[2].steps[0].quantity_kwh == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.pop("slots"), 'the key "slots" is missing'),
        (lambda d: d.update(slots=0), "slots 0 is not at least 1"),
        (lambda d: d.update(slots=2.5), "slots 2.5 is not a whole number"),
        (lambda d: d.update(slot_hours="1"), 'slot_hours "1" is not a number'),
        (lambda d: d.update(asset=[]), 'unknown key "asset"; did you mean "assets"?'),
        (lambda d: d.update(assets={}), "assets {} is not a list"),
        (lambda d: d["assets"].append(5), "assets[4]: 5 is not an object"),
        (lambda d: d["connections"].append(5), "connections[1]: 5 is not an object"),
        (lambda d: d["grid"]["zones"].append(3), "zone 2: 3 is not an object"),
        (asset(0, power_kw=-3), 'asset "battery": power_kw -3.0 is not at least 0'),
        (asset(0, power_kw=True), 'asset "battery": power_kw true is not a number'),
        (asset(0, capacitykwh=3), 'asset "battery": unknown key "capacitykwh"; did you mean "capacity_kwh"?'),
        (asset(0, kind="bat"), f'asset "battery": kind "bat" is not one of {", ".join(KINDS)}'),
        (lambda d: d["assets"][0].pop("kind"), 'asset "battery": the key "kind" is missing; it is one of'),
        (lambda d: d["assets"][0].pop("power_kw"), 'asset "battery": the key "power_kw" is missing'),
        (asset(0, start_kwh=7), 'asset "battery": start_kwh 7 is above capacity_kwh 5'),
        (asset(0, name=3), "assets[0]: name 3 is not a text"),
        (asset(0, name="load"), 'two assets have the name "load"'),
        (asset(0, connection="hut"), 'asset "battery": there is no connection "hut"'),
        (asset(0, exclusive=3), 'asset "battery": exclusive 3 is neither true nor false'),
        (asset(1, zone=7), 'asset "load": zone 7 is not one of the grid\'s 2 zones'),
        (asset(1, demand_kw=[1]), 'asset "load": demand_kw has 1 entries, but there are 2 slots'),
        (asset(1, demand_kw=[1, "a"]), "asset \"load\": demand_kw has 'a' at entry 1, which is not a number"),
        (asset(1, demand_kw=[1, float("nan")]), 'asset "load": demand_kw has nan at entry 1'),
        (asset(1, demand_kw=None), 'asset "load": demand_kw null is not a number'),
        (asset(1, demand_kw={"csv": "x"}), 'demand_kw {"csv": "x"} is neither numbers nor {"csv": file'),
        (asset(2, steps=[[5, 0.1, 2]]), 'asset "bid": steps[0]: slot goes beyond the last slot, 1'),
        (asset(2, steps=[[0, 0.1]]), 'asset "bid": the key "steps[0][2]" is missing'),
        (asset(2, steps=[3]), 'asset "bid": steps[0] 3 is not [slot, price, quantity_kwh]'),
        (
            asset(3, import_price=[0.3, 0.02]),
            'asset "retailer": the export price is above the import price in slot 1',
        ),
        (
            asset(3, import_kw=[-3, 2]),
            'asset "retailer": import_kw has -3 at entry 0, which is not at least 0',
        ),
        (zone(1, parent=1), "grid: zone 1 has parent 1, not one of the zones before it"),
        (zone(1, loss=1), "zone 1: loss 1.0 is not below 1"),
        (zone(0, loss=0.1), "grid: zone 0 has no line to a parent"),
        (lambda d: d["grid"].update(zones=[]), "grid: a grid has at least zone 0"),
        (
            lambda d: d["connections"][0].update(impor_kw=1),
            'connection "home": unknown key "impor_kw"; did you mean',
        ),
    ],
)
def test_document__with_a_mistake__says_what_and_where(
    change: Callable[[dict], object], sentence: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        scenario_from_dict(changed(change))

    assert str(refused.value).startswith(sentence) or sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("document", [None, 3, [], "text"])
def test_document__that_is_no_object__is_refused(document: object) -> None:
    with pytest.raises(ScenarioError, match=r"the scenario: .* is not an object"):
        scenario_from_dict(document)


def test_yaml__with_csv_columns_beside_it__is_read(tmp_path: Path) -> None:
    (tmp_path / "loads.csv").write_text("slot,house\n0,1.5\n1,2\n")
    (tmp_path / "day.yaml").write_text(YAML)

    load, roof = read_scenario(str(tmp_path / "day.yaml")).assets

    assert load.demand_kw.tolist() == [1.5, 2.0]
    assert roof.available_kw.tolist() == [0.0, 0.001]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "names a file that cannot be read: No such file"),
        ("", "names an empty file"),
        ("slot,hut\n0,1\n1,2\n", "names no column of the file; it has slot, hut"),
        ("slot,house\n0,1\n1\n", "names a file whose row 3 has 1 cells and not 2"),
        ("slot,house\n0,1\n1,x\n", 'names a column whose row 3, "x", is not a number'),
        ("slot,house\n0,1\n1,nan\n", "demand_kw has nan at entry 1"),
        ("slot,house\n0,1\n", "demand_kw has 1 entries, but there are 2 slots"),
        (b"\xff\xfe\x00", "it is not a text file"),
    ],
)
def test_csv__that_does_not_have_the_column__says_so(
    tmp_path: Path, content: str | bytes | None, complaint: str
) -> None:
    if content is not None:
        (tmp_path / "loads.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "day.yaml").write_text(YAML)

    with pytest.raises(UserError) as refused:
        read_scenario(str(tmp_path / "day.yaml"))

    assert complaint in str(refused.value)
    assert 'day.yaml: asset "house": demand_kw' in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("slots: 1\nslots: 2\n", 'line 2: the key "slots" appears twice'),
        ("slots: [\n", "it is not YAML"),
        ("1: 2\n", "line 1: the key 1 is not a text"),
        ("slots: *nothing\n", "undefined alias"),
        ("[" * 100_000, "it is nested too deeply"),
        ("slots: !!python/object:os.system x\n", "it is not YAML"),
        ("", "the scenario: null is not an object"),
        ("slots: 2020-01-01\nslot_hours: 1\nassets: []\n", 'slots "2020-01-01" is not a whole number'),
    ],
)
def test_yaml__that_is_not_in_order__says_where(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "day.yml").write_text(text)

    with pytest.raises(UserError, match=r"day\.yml: ") as refused:
        read_scenario(str(tmp_path / "day.yml"))

    assert complaint in str(refused.value)


def test_json__with_nan__is_refused(tmp_path: Path) -> None:
    (tmp_path / "day.json").write_text(json.dumps(changed(asset(0, power_kw=float("nan")))))

    with pytest.raises(UserError, match="power_kw NaN is not a number"):
        read_scenario(str(tmp_path / "day.json"))


def test_schema__for_every_kind__says_what_its_keys_mean() -> None:
    schema = json_schema()

    kinds = {
        part["properties"]["kind"]["const"]: part
        for part in schema["$defs"].values()
        if "kind" in part.get("properties", {})
    }
    assert set(kinds) == set(KINDS)
    assert kinds["battery"]["properties"]["power_kw"]["minimum"] == 0
    assert "kWh discharged" in kinds["battery"]["properties"]["wear_cost"]["description"]
    assert set(kinds["load"]["required"]) >= {"kind", "name", "demand_kw"}
