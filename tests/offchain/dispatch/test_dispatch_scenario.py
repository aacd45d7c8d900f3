import pytest
from pydantic import ValidationError

from clearwatt.dispatch.assets import (
    Battery,
    Connection,
    ElectricVehicle,
    Load,
    LoadRun,
    OfferStep,
    ShiftableLoad,
    StepBid,
)
from clearwatt.dispatch.scenario import GridSpec, Scenario, ScenarioError, ZoneSpec

TWO_ZONES = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0)))
HOME = Connection(name="home", zone=1, import_kw=5)
BATTERY = {"name": "battery", "power_kw": 3, "capacity_kwh": 8}
CAR = {"name": "car", "needed_kwh": 6, "power_kw": 7}


@pytest.mark.parametrize(
    ("asset", "complaint"),
    [
        (
            Load(name="load", demand_kw=[1, 2, 3]),
            'asset "load": demand_kw has 3 entries, but there are 4 slots',
        ),
        (Battery(**BATTERY, zone=2), 'asset "battery": zone 2 is not one of the grid\'s 2 zones'),
        (Battery(**BATTERY, connection="hut"), 'asset "battery": there is no connection "hut"'),
        (ElectricVehicle(**CAR, arrival_slot=1, departure_slot=5), 'asset "car": departure_slot goes beyond'),
        (ElectricVehicle(**CAR, arrival_slot=4, departure_slot=5), 'asset "car": arrival_slot goes beyond'),
        (ShiftableLoad(name="wash", energy_kwh=1, max_kw=1, earliest=0, latest=4), "latest goes beyond"),
        (
            LoadRun(name="run", profile_kw=[1, 1], earliest=0, latest=3),
            "the run goes beyond the last slot, 3",
        ),
        (StepBid(name="bid", steps=(OfferStep(4, 0.1, 1),)), "steps.0.: slot goes beyond the last slot, 3"),
    ],
)
def test_scenario__with_an_asset_that_does_not_fit__names_it(asset: object, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        Scenario(4, 1.0, TWO_ZONES, (HOME,), (asset,))


def test_scenario__asset_in_another_zone_than_its_connection__names_both() -> None:
    battery = Battery(**BATTERY, zone=2, connection="home")
    grid = GridSpec(zones=(*TWO_ZONES.zones, ZoneSpec(parent=1)))

    with pytest.raises(ScenarioError, match='in zone 2, but its connection "home" is in zone 1'):
        Scenario(4, 1.0, grid, (HOME,), (battery,))


def test_scenario__asset_behind_a_connection__is_in_its_zone() -> None:
    battery = Battery(**BATTERY, connection="home")

    assert Scenario(4, 1.0, TWO_ZONES, (HOME,), (battery,)).zone_of(battery) == 1


def test_scenario__with_names_used_twice__names_them() -> None:
    load = Load(name="same", demand_kw=1)
    with pytest.raises(ScenarioError, match='two assets have the name "same"'):
        Scenario(1, 1.0, assets=(load, Battery(**BATTERY | {"name": "same"})))
    with pytest.raises(ScenarioError, match='two connections have the name "home"'):
        Scenario(1, 1.0, TWO_ZONES, (HOME, HOME))


@pytest.mark.parametrize(("slots", "hours"), [(0, 1.0), (10**6, 1.0), (4, 0.0), (4, 25.0), (4, float("nan"))])
def test_scenario__with_impossible_slots__is_refused(slots: int, hours: float) -> None:
    with pytest.raises(ScenarioError, match="is not"):
        Scenario(slots, hours)


@pytest.mark.parametrize(
    ("zones", "complaint"),
    [
        ((), "at least zone 0"),
        ((ZoneSpec(parent=0),), "its parent is null"),
        ((ZoneSpec(parent=None, fee=0.1),), "zone 0 has no line"),
        ((ZoneSpec(parent=None, export_kw=[1]),), "zone 0 has no line"),
        ((ZoneSpec(parent=None), ZoneSpec(parent=1)), "zone 1 has parent 1"),
        ((ZoneSpec(parent=None), ZoneSpec(parent=None)), "zone 1 has parent null"),
    ],
)
def test_grid__that_is_no_tree__is_refused(zones: tuple[ZoneSpec, ...], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GridSpec(zones=zones)


def test_grid__line_limits_of_another_length__are_refused() -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, export_kw=[1, 2])))
    with pytest.raises(ScenarioError, match="zone 1: export_kw has 2 entries, but there are 3 slots"):
        Scenario(3, 1.0, grid)
