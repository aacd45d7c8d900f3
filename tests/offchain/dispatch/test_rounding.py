from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearwatt.dispatch.assets import (
    Asset,
    Battery,
    Connection,
    CurtailableLoad,
    ElectricVehicle,
    Generator,
    Load,
    Retailer,
    Solar,
    ThermalLoad,
)
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.prices import to_ticks
from clearwatt.dispatch.result import Dispatch
from clearwatt.dispatch.rounding import WholeDispatch, payments, round_dispatch
from clearwatt.dispatch.scenario import GridSpec, Scenario, ZoneSpec
from clearwatt.dispatch.solve import solve
from tests.offchain.dispatch.random_scenarios import random_scenario

NOISE = 1e-3
"""Wh; what a solver's float may be beside its bound."""


def planned_wh(dispatch: Dispatch, name: str) -> np.ndarray:
    return dispatch.schedule[name].power_kw * dispatch.scenario.slot_hours * 1000


def check_balances(dispatch: Dispatch, whole: WholeDispatch) -> None:
    """In every zone and slot: what assets and lines bring and take adds up to 0."""
    scenario = dispatch.scenario
    balance = np.zeros((scenario.zones, scenario.slots), dtype=np.int64)
    for asset in scenario.assets:
        balance[scenario.zone_of(asset)] += whole.energy[asset.name]
    assert (balance == whole.zone_energy).all()
    balance -= whole.sent
    for zone, spec in list(enumerate(scenario.grid.zones))[1:]:
        balance[spec.parent] += whole.received[zone]
    assert not balance.any()


def check_limits(dispatch: Dispatch, whole: WholeDispatch) -> None:
    scenario, wh = dispatch.scenario, dispatch.scenario.slot_hours * 1000
    for zone, spec in list(enumerate(scenario.grid.zones))[1:]:
        assert (whole.sent[zone] <= np.ceil(spec.export_kw * wh - NOISE)).all()
        assert (-whole.received[zone] <= np.ceil(spec.import_kw * wh - NOISE) + 1).all()
    for connection in scenario.connections:
        behind = [
            whole.energy[asset.name] for asset in scenario.assets if asset.connection == connection.name
        ]
        net = np.sum(behind, axis=0)
        assert (net <= np.ceil(connection.export_kw * wh - NOISE)).all()
        assert (-net <= np.ceil(connection.import_kw * wh - NOISE)).all()


def check_bounds(asset: Asset, energy: np.ndarray, hours: float) -> None:
    def within(low: np.ndarray | float, high: np.ndarray | float) -> None:
        assert (energy >= np.floor(np.asarray(low) * hours * 1000 + NOISE)).all(), asset
        assert (energy <= np.ceil(np.asarray(high) * hours * 1000 - NOISE)).all(), asset

    match asset:
        case Load():
            within(-asset.demand_kw, -asset.demand_kw)
        case Solar(curtailable=True):
            within(0, asset.available_kw)
        case Generator(on_off=False):
            within(asset.min_kw, asset.max_kw)
        case CurtailableLoad():
            within(-asset.demand_kw, -asset.demand_kw * (1 - asset.share))
        case Retailer():
            within(-asset.export_kw, asset.import_kw)
        case Battery():
            within(-asset.power_kw, asset.power_kw if asset.discharge_kw is None else asset.discharge_kw)
        case ElectricVehicle():
            slot = np.arange(len(energy))
            plugged = (slot >= asset.arrival_slot) & (slot < asset.departure_slot)
            within(-asset.power_kw * plugged, asset.discharge_kw * plugged)


def one_wh(asset: Asset, hours: float) -> float:
    """The most that 1 Wh at the terminals changes the state by."""
    match asset:
        case Battery() | ElectricVehicle():
            return 0.001 / asset.discharge_efficiency
        case ThermalLoad():
            kept = np.exp(-hours / (asset.resistance * asset.capacitance))
            return 0.001 * (1 - kept) * asset.resistance * asset.cop / hours
        case _:
            return 0.001


@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_rounding__random_scenarios__balance_and_keep_their_limits(first: int, copies: int) -> None:
    for seed in range(first, first + 20):
        dispatch = solve(random_scenario(seed, linear=bool(seed % 2), copies=copies))
        whole = round_dispatch(dispatch)
        check_balances(dispatch, whole)
        check_limits(dispatch, whole)
        for asset in dispatch.scenario.assets:
            check_bounds(asset, whole.energy[asset.name], dispatch.scenario.slot_hours)
            if asset.name in whole.state:
                off = np.abs(whole.state[asset.name] - dispatch.schedule[asset.name].state).max()
                assert off <= 2 * one_wh(asset, dispatch.scenario.slot_hours)


@pytest.mark.parametrize("first", range(0, 30, 10))
def test_rounding__whole_decisions__stay_decided(first: int) -> None:
    for seed in range(first, first + 10):
        dispatch = solve(random_scenario(seed, linear=True, integers=True))
        whole = round_dispatch(dispatch)
        check_balances(dispatch, whole)
        for asset in dispatch.scenario.assets:
            energy = whole.energy[asset.name]
            if isinstance(asset, Generator) and asset.on_off:
                least = np.floor(asset.min_kw * dispatch.scenario.slot_hours * 1000)
                assert ((energy == 0) | (energy >= least)).all()
            if asset.kind == "load_run":
                assert (np.abs(energy - planned_wh(dispatch, asset.name)) < 1).all()


def test_rounding__battery_over_a_day__ends_where_it_should() -> None:
    """Half a Wh per slot in one direction would be 48 Wh; it is made up for at once."""
    rng = np.random.default_rng(4)
    battery = Battery(name="battery", power_kw=2, capacity_kwh=6, start_kwh=3, end_kwh=3, charge_efficiency=0.93,
                      discharge_efficiency=0.91, wear_cost=0.01)  # fmt: skip
    assets = (
        Retailer(name="retailer", import_price=0.3, export_price=0.05, import_kw=50, export_kw=50),
        Load(name="load", demand_kw=rng.uniform(0, 2, 96)),
        Solar(name="sun", available_kw=np.maximum(0, 4 * np.sin(np.linspace(-1.5, 4.6, 96)))),
        battery,
    )
    whole = round_dispatch(solve(Scenario(96, 0.25, assets=assets)))

    energy, state = whole.energy["battery"], 3.0
    for slot, injected in enumerate(energy / 1000):
        state += -injected * 0.93 if injected < 0 else -injected / 0.91
        assert state == pytest.approx(whole.state["battery"][slot], abs=1e-9)
        assert -1e-9 <= state <= 6 + 1e-9
    assert 3 - 1e-9 <= state < 3.002


def test_rounding__island_of_a_battery_and_a_load__still_balances() -> None:
    """Nothing marginal is there to take what rounding leaves: load and battery take it between them."""
    load = Load(name="load", demand_kw=np.linspace(0.1111, 0.9999, 48))
    battery = Battery(name="battery", power_kw=2, capacity_kwh=40, start_kwh=30, discharge_efficiency=0.9)
    dispatch = solve(Scenario(48, 1.0, assets=(load, battery)))

    whole = round_dispatch(dispatch)

    check_balances(dispatch, whole)
    assert np.abs(whole.state["battery"] - dispatch.schedule["battery"].state).max() < 0.0025
    assert np.abs(whole.energy["load"] - planned_wh(dispatch, "load")).max() < 1


def test_rounding__line_with_losses__loses_its_share_to_the_wh() -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, loss=0.037)))
    demand = np.linspace(-2.3456, 3.4567, 24)
    retailer = Retailer(name="retailer", import_price=0.3, export_price=0.05, import_kw=50, export_kw=50)
    dispatch = solve(Scenario(24, 0.25, grid, assets=(retailer, Load(name="load", zone=1, demand_kw=demand))))

    whole = round_dispatch(dispatch)

    entering = np.where(whole.sent[1] > 0, whole.sent[1], -whole.received[1])
    assert np.abs(whole.sent[1] - whole.received[1] - 0.037 * entering).max() < 1
    assert (whole.sent[1] >= whole.received[1]).all()
    check_balances(dispatch, whole)


def test_rounding__battery_that_burns_energy_at_negative_prices__still_does() -> None:
    retailer = Retailer(name="retailer", import_price=-0.1, export_price=-0.2, import_kw=9, export_kw=9)
    battery = Battery(
        name="battery", power_kw=2.0001, capacity_kwh=1, charge_efficiency=0.77, discharge_efficiency=0.66
    )
    dispatch = solve(Scenario(24, 0.25, assets=(retailer, battery)))
    assert np.minimum(dispatch.solution.up, dispatch.solution.down).max() > 0.01

    whole = round_dispatch(dispatch)

    assert np.abs(whole.state["battery"] - dispatch.schedule["battery"].state).max() < 0.002
    assert np.abs(whole.energy["battery"] - planned_wh(dispatch, "battery")).max() < 3


def test_rounding__limits_of_whole_wh__are_kept_exactly() -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, export_kw=2.0, import_kw=2.0)))
    home = Connection(name="home", zone=1, export_kw=1.0, import_kw=1.0)
    assets = (
        Retailer(name="retailer", import_price=0.3, export_price=0.05, import_kw=50, export_kw=50),
        Solar(name="roof", connection="home", available_kw=3.21),
        Load(name="hob", connection="home", demand_kw=0.3333),
        Solar(name="field", zone=1, available_kw=7.6543),
        Load(name="works", zone=1, demand_kw=0.77777),
    )
    whole = round_dispatch(solve(Scenario(3, 0.25, grid, (home,), assets)))

    assert whole.sent[1].tolist() == [500] * 3
    assert (whole.energy["roof"] + whole.energy["hob"] <= 250).all()


def test_payments__at_zone_prices__add_up_to_nothing() -> None:
    for seed in range(30):
        dispatch = solve(random_scenario(seed))
        whole = round_dispatch(dispatch)

        paid = payments(dispatch, whole, to_ticks(dispatch.zone_price))

        assert sum(paid.assets.values()) + int(paid.lines.sum()) == 0
        assert (paid.fees >= 0).all()


def test_payments__across_a_full_line__its_income_is_fee_and_rent() -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, import_kw=2, fee=0.01)))
    assets = (
        Retailer(name="retailer", import_price=0.3, export_price=0.08, import_kw=9, export_kw=9),
        Generator(name="local", zone=1, max_kw=5, cost=0.5),
        Load(name="load", zone=1, demand_kw=3),
    )
    dispatch = solve(Scenario(1, 1.0, grid, assets=assets))
    whole = round_dispatch(dispatch)

    paid = payments(dispatch, whole, to_ticks(dispatch.zone_price))

    assert paid.assets == {"retailer": 2000 * 30_000, "local": 1000 * 50_000, "load": -3000 * 50_000}
    assert paid.lines[1, 0] == 2000 * 20_000
    assert paid.fees[1, 0] == 2000 * 1000


def test_rounding__schedule_out_of_balance__is_refused_and_named() -> None:
    load, sun = Load(name="load", demand_kw=2.0), Solar(name="sun", available_kw=2.0, curtailable=False)
    dispatch = solve(Scenario(1, 1.0, assets=(load, sun)))
    broken = replace(dispatch, built=replace(dispatch.built, fixed=dispatch.built.fixed * [[1.0], [0.9]]))

    with pytest.raises(DispatchError, match=r"zone 0, slot 0: .* out of balance by 200 Wh"):
        round_dispatch(broken)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=30), st.floats(0.001, 5))
@settings(max_examples=60, deadline=None)
def test_rounding__any_loads_and_sun__move_by_less_than_a_wh(loads: list[float], sun: float) -> None:
    assets = [Load(name=f"load {number}", demand_kw=[load, load / 3]) for number, load in enumerate(loads)]
    retailer = Retailer(name="retailer", import_price=0.3, export_price=0.08, import_kw=200, export_kw=200)
    panels = Solar(name="sun", available_kw=sun, curtailable=False)
    dispatch = solve(Scenario(2, 0.25, assets=(*assets, retailer, panels)))

    whole = round_dispatch(dispatch)

    check_balances(dispatch, whole)
    for asset in (*assets, panels):
        assert np.abs(whole.energy[asset.name] - planned_wh(dispatch, asset.name)).max() < 1
