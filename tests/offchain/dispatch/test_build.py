import time

import numpy as np
import pytest

from clearwatt.dispatch.assets import (
    Battery,
    Connection,
    ElectricVehicle,
    Generator,
    Load,
    OfferStep,
    Retailer,
    ShiftableLoad,
    Solar,
    StepBid,
    ThermalLoad,
)
from clearwatt.dispatch.build import build
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.scenario import GridSpec, Scenario, ZoneSpec
from clearwatt.dispatch.solve import solve
from tests.offchain.dispatch.plain_model import PlainModel
from tests.offchain.dispatch.random_scenarios import random_scenario

SEEDS, MILP_SEEDS = range(200), range(60)


def check_against_plain_model(scenario: Scenario) -> None:
    expected = PlainModel(scenario).welfare()
    assert expected is not None
    assert solve(scenario).welfare == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("first", SEEDS[::20])
def test_build__every_kind_of_asset__means_what_the_textbook_model_means(first: int) -> None:
    for seed in range(first, first + 20):
        check_against_plain_model(random_scenario(seed, linear=True))


@pytest.mark.parametrize("first", MILP_SEEDS[::20])
def test_build__with_whole_decisions__means_what_the_textbook_model_means(first: int) -> None:
    for seed in range(first, first + 20):
        check_against_plain_model(random_scenario(seed, linear=True, integers=True))


def test_build__slots_of_other_lengths__change_no_cost_per_hour() -> None:
    """Twice the slots of half the length, with everything constant, are the same problem."""
    assets = (
        Retailer(name="retailer", import_price=0.3, export_price=0.1, import_kw=9, export_kw=9),
        Load(name="load", demand_kw=2.0),
        Generator(name="generator", max_kw=5, cost=0.1, curvature=0.05, ramp_kw_per_hour=1.0, initial_kw=0.0),
        Generator(name="plain", max_kw=1, cost=0.2, curvature=0.1),
    )
    hourly, halves = solve(Scenario(4, 1.0, assets=assets)), solve(Scenario(8, 0.5, assets=assets))
    plain = [dispatch.schedule["plain"].power_kw for dispatch in (hourly, halves)]

    assert plain[1][-2:] == pytest.approx(np.repeat(plain[0][-1], 2), abs=1e-4)
    assert halves.schedule["generator"].power_kw[:2] == pytest.approx([0.5, 1.0], abs=1e-4)
    assert hourly.schedule["generator"].power_kw[0] == pytest.approx(1.0, abs=1e-4)


def test_build__connection_with_one_cap__is_open_on_the_other_side() -> None:
    connection = Connection(name="home", import_kw=2)
    solar = Solar(name="solar", connection="home", available_kw=50)

    connections = build(Scenario(3, 0.5, connections=(connection,), assets=(solar,))).program.connections

    assert connections.low.tolist() == [[-1.0] * 3]
    assert np.isinf(connections.high).all()


def test_build__line_without_limit__gets_one_that_nothing_reaches() -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0)))
    assets = (
        Load(name="load", zone=1, demand_kw=7),
        Solar(name="solar", zone=1, available_kw=[1, 20]),
        Battery(name="battery", zone=1, power_kw=3, capacity_kwh=6),
    )
    lines = build(Scenario(2, 0.5, grid, assets=assets)).program.lines

    for limit in (lines.export_limit[1], lines.import_limit[1]):
        assert (limit > [7, 16.5]).all()
        assert np.isfinite(limit).all()


def test_build__bid_with_several_steps_in_a_slot__offers_each() -> None:
    steps = (OfferStep(1, 0.1, 2), OfferStep(1, 0.2, 3), OfferStep(0, 0.3, -1), OfferStep(1, 0.05, -4))
    built = build(Scenario(2, 0.25, assets=(StepBid(name="bid", steps=steps),)))
    offers = built.program.offers

    assert built.offer_asset.tolist() == [0, 0, 0]
    assert (offers.high[:, 1].tolist(), offers.low[:, 1].tolist()) == ([2, 3, 0], [0, 0, -4])
    assert offers.cost[0].tolist() == [0.3, 0.1]


def test_build__kinds_with_a_state__have_their_owners_numbers() -> None:
    assets = (
        Battery(name="battery", power_kw=4, discharge_kw=2, capacity_kwh=8, start_kwh=3, end_kwh=5,
                charge_efficiency=0.9, discharge_efficiency=0.8, self_discharge_per_hour=0.19, wear_cost=0.02),
        ElectricVehicle(name="car", arrival_slot=1, departure_slot=3, needed_kwh=2, power_kw=4, arrival_kwh=1),
        ShiftableLoad(name="wash", energy_kwh=1.5, max_kw=2, earliest=1, latest=2),
        ThermalLoad(name="fridge", mode="cooling", max_kw=1, cop=2, resistance=10, capacitance=0.5, start=5,
                    lowest=4, highest=8, ambient=20),
    )  # fmt: skip
    stores = build(Scenario(4, 0.5, assets=assets)).program.stores

    assert stores.up_high.tolist() == [[2] * 4, [0, 2, 2, 0], [0, 1, 1, 0], [0.5] * 4]
    assert stores.down_high[0].tolist() == [1] * 4
    assert not stores.down_high[1:].any()
    assert (stores.up_gain[0], stores.down_gain[0]) == (0.9, 1.25)
    assert stores.retention[0] == pytest.approx(0.9)
    assert stores.low[0].tolist() == [0, 0, 0, 5]
    assert stores.low[1].tolist() == [-np.inf, 0, 3, -np.inf]
    assert stores.high[1].tolist() == [np.inf, 3, 3, np.inf]
    assert stores.low[2].tolist() == [-np.inf, -np.inf, 1.5, -np.inf]
    assert (stores.low[3, 0], stores.high[3, 0], stores.initial[3]) == (-8, -4, -5)
    kept = np.exp(-0.5 / 5)
    assert stores.retention[3] == pytest.approx(kept)
    assert stores.up_gain[3] * 0.5 == pytest.approx((1 - kept) * 10 * 2)  # 0.5 kWh is 1 kW for the slot


def test_build__forty_thousand_assets__takes_seconds() -> None:
    day = np.linspace(0, 3, 96)
    assets = []
    for number in range(10_000):
        place = {"connection": f"home {number}"}
        assets.append(Load(name=f"load {number}", demand_kw=day, **place))
        assets.append(Solar(name=f"sun {number}", available_kw=day, **place))
        assets.append(Battery(name=f"battery {number}", power_kw=3, capacity_kwh=8, **place))
        assets.append(ThermalLoad(name=f"pump {number}", max_kw=2, cop=3, resistance=5, capacitance=8, start=20,
                                  lowest=18, highest=23, ambient=5, **place))  # fmt: skip
    homes = tuple(Connection(name=f"home {number}", import_kw=17, export_kw=10) for number in range(10_000))
    scenario = Scenario(96, 0.25, connections=homes, assets=tuple(assets))

    began = time.process_time()
    program = build(scenario).program

    assert time.process_time() - began < 4  # 0.3 to 0.9 s of CPU on a busy 2-core machine
    assert program.offers.low.shape == (10_000, 96)
    assert program.stores.low.shape == (20_000, 96)


def test_solve__schedule_that_cannot_be__names_the_asset() -> None:
    battery = Battery(name="cellar", power_kw=1, capacity_kwh=10, start_kwh=0, end_kwh=5)
    retailer = Retailer(name="retailer", import_price=0.3, export_price=0.1, import_kw=9, export_kw=9)

    with pytest.raises(DispatchError, match="cellar") as refused:
        solve(Scenario(2, 1.0, assets=(battery, retailer)))

    assert refused.value.exit_code == 1
    assert "3" in str(refused.value)  # kWh short of its 5
