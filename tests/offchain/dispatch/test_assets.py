import numpy as np
import pytest
from pydantic import ValidationError

from clearwatt.bids import Bid, Step
from clearwatt.dispatch.assets import (
    Battery,
    CurtailableLoad,
    ElectricVehicle,
    Generator,
    Load,
    LoadRun,
    Retailer,
    ShiftableLoad,
    Solar,
    ThermalLoad,
    step_bid,
)

BATTERY = {"name": "battery", "power_kw": 3, "capacity_kwh": 8}
CAR = {"name": "car", "arrival_slot": 2, "departure_slot": 5, "needed_kwh": 6, "power_kw": 7}
RETAILER = {"name": "retailer", "import_price": 0.3, "export_price": 0.08, "import_kw": 9, "export_kw": 9}
HOUSE = {
    "name": "house",
    "max_kw": 3,
    "cop": 3,
    "resistance": 5,
    "capacitance": 8,
    "start": 20,
    "lowest": 19,
    "highest": 22,
    "ambient": 5,
}


@pytest.mark.parametrize(
    ("kind", "values", "complaint"),
    [
        (Battery, BATTERY | {"power_kw": -1}, "greater than or equal to 0"),
        (Battery, BATTERY | {"power_kw": float("nan")}, "is not a number"),
        (Battery, BATTERY | {"power_kw": float("inf")}, "is not a number"),
        (Battery, BATTERY | {"power_kw": True}, "is not a number"),
        (Battery, BATTERY | {"power_kw": "3"}, "is not a number"),
        (Battery, BATTERY | {"power_kw": 1e12}, "is not a number between"),
        (Battery, BATTERY | {"power_kwh": 1}, "power_kwh"),
        (Battery, BATTERY | {"name": " "}, "is not a name"),
        (Battery, BATTERY | {"zone": 1.5}, "is not a whole number"),
        (Battery, BATTERY | {"start_kwh": 9}, "start_kwh 9 is above capacity_kwh 8"),
        (Battery, BATTERY | {"end_kwh": 9}, "end_kwh 9 is above capacity_kwh 8"),
        (Battery, BATTERY | {"charge_efficiency": 1.01}, "less than or equal to 1"),
        (Battery, BATTERY | {"discharge_efficiency": 0}, "greater than 0"),
        (Battery, BATTERY | {"self_discharge_per_hour": 1}, "less than 1"),
        (ElectricVehicle, CAR | {"departure_slot": 2}, "departure_slot 2 is not after arrival_slot 2"),
        (ElectricVehicle, CAR | {"capacity_kwh": 5}, "6 kWh at departure do not fit capacity_kwh 5"),
        (Generator, {"name": "g", "max_kw": 2, "min_kw": 3}, "min_kw 3 is above max_kw 2"),
        (Generator, {"name": "g", "max_kw": 2, "curvature": -1}, "greater than or equal to 0"),
        (Generator, {"name": "g", "max_kw": 2, "on_off": True, "ramp_kw_per_hour": 1}, "not modelled"),
        (Solar, {"name": "s", "available_kw": [1, -2]}, "-2 at entry 1, which is not at least 0"),
        (Solar, {"name": "s", "available_kw": np.array([1, np.nan])}, "nan at entry 1"),
        (Solar, {"name": "s", "available_kw": [1, None]}, "None at entry 1, which is not a number"),
        (Solar, {"name": "s", "available_kw": np.ones((2, 2))}, "2 dimensions"),
        (Solar, {"name": "s", "available_kw": {"csv": "a", "column": "b"}}, "only a scenario file"),
        (CurtailableLoad, {"name": "c", "demand_kw": 1, "value": 1, "share": 1.5}, "between 0 and 1"),
        (ShiftableLoad, {"name": "s", "energy_kwh": 1, "max_kw": 1, "earliest": 3, "latest": 2}, "before"),
        (LoadRun, {"name": "r", "profile_kw": [], "earliest": 0, "latest": 1}, "one power for each slot"),
        (LoadRun, {"name": "r", "profile_kw": 2, "earliest": 0, "latest": 1}, "one power for each slot"),
        (LoadRun, {"name": "r", "profile_kw": [2], "earliest": 2, "latest": 1}, "before earliest"),
        (Retailer, RETAILER | {"export_price": 0.31}, "export price is above the import price: money"),
        (Retailer, RETAILER | {"export_price": [0, 0.5]}, "above the import price in slot 1"),
        (
            Retailer,
            RETAILER | {"import_price": [1, 1], "export_price": [0, 0, 0]},
            "2 entries and export_price 3",
        ),
        (ThermalLoad, HOUSE | {"lowest": [19, 23]}, "lowest is above highest"),
        (ThermalLoad, HOUSE | {"mode": "both"}, "'heating' or 'cooling'"),
        (ThermalLoad, HOUSE | {"cop": 0}, "greater than 0"),
    ],
)
def test_asset__with_an_impossible_value__is_refused(kind: type, values: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        kind(**values)


def test_series__given_as_list_number_or_array__is_a_frozen_array() -> None:
    entries = np.array([1.0, 2.0])
    load = Load(name="load", demand_kw=entries)
    entries[0] = 5

    assert load.demand_kw.tolist() == [1, 2]
    assert Load(name="load", demand_kw=[1, 2.5]).demand_kw.tolist() == [1, 2.5]
    assert Load(name="load", demand_kw=3).demand_kw.shape == ()
    with pytest.raises(ValueError, match="read-only"):
        load.demand_kw[0] = 7


def test_load__that_injects__is_a_load() -> None:
    assert Load(name="prosumer", demand_kw=[-1.5, 2]).demand_kw[0] == -1.5


def test_step_bid__from_a_market_bid__has_its_prices_per_kwh_and_its_kwh() -> None:
    bid = Bid("0x" + "1f" * 20, 2, (Step(0, 8000, 500), Step(3, -100, -2000)))

    asset = step_bid(bid)

    assert (asset.name, asset.zone) == (bid.member, 2)
    assert [tuple(step) for step in asset.steps] == [(0, 0.08, 0.5), (3, -0.001, -2.0)]
