import logging
from dataclasses import replace

import numpy as np
import pytest

from clearwatt.dispatch import structured
from clearwatt.dispatch.assets import (
    Asset,
    Battery,
    Connection,
    CurtailableLoad,
    Generator,
    Load,
    LoadRun,
    Retailer,
    Solar,
)
from clearwatt.dispatch.cli import METHODS as COMMAND_METHODS
from clearwatt.dispatch.errors import DispatchError, Infeasible, NotConverged
from clearwatt.dispatch.result import Dispatch
from clearwatt.dispatch.scenario import GridSpec, Scenario, ZoneSpec
from clearwatt.dispatch.solve import METHODS, Method, solve
from tests.offchain.dispatch.random_scenarios import random_scenario

RETAILER = Retailer(name="retailer", import_price=0.3, export_price=0.08, import_kw=100, export_kw=100)
CERTIFIED = 1e-6
every_method = pytest.mark.parametrize("method", METHODS)


def day(*assets: Asset, slots: int = 2, method: Method = "auto", **parts: object) -> Dispatch:
    """Solved, and proven near the optimum."""
    dispatch = solve(Scenario(slots, 1.0, assets=assets, **parts), method)
    assert dispatch.certificate.gap <= CERTIFIED
    assert dispatch.certificate.primal_residual <= CERTIFIED
    return dispatch


# ---------------------------------------------------------------------------------------------------
# Prices
# ---------------------------------------------------------------------------------------------------


@every_method
def test_price__of_a_merit_order__is_the_marginal_generators_cost(method: Method) -> None:
    cheap, dear = Generator(name="cheap", max_kw=3, cost=0.1), Generator(name="dear", max_kw=3, cost=0.2)

    dispatch = day(cheap, dear, Load(name="load", demand_kw=[2, 4]), method=method)

    assert dispatch.zone_price[0] == pytest.approx([0.1, 0.2], abs=1e-5)
    assert dispatch.schedule["dear"].power_kw == pytest.approx([0, 1], abs=1e-5)
    assert dispatch.cost == pytest.approx(0.7, abs=1e-6)


@every_method
def test_price__behind_a_full_line__is_what_its_zone_pays(method: Method) -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, import_kw=2, fee=0.01)))
    generator = Generator(name="local", zone=1, max_kw=5, cost=0.5)
    load = Load(name="load", zone=1, demand_kw=[1, 3])

    dispatch = day(RETAILER, generator, load, grid=grid, method=method)

    assert dispatch.zone_price == pytest.approx(np.array([[0.3, 0.3], [0.31, 0.5]]), abs=1e-5)
    assert dispatch.flow_kw == pytest.approx(np.array([[0, 0], [-1, -2]]), abs=1e-5)


@every_method
def test_price__across_a_line_with_losses__pays_for_them(method: Method) -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, loss=0.2)))

    dispatch = day(RETAILER, Load(name="load", zone=1, demand_kw=[1, 2]), grid=grid, method=method)

    assert dispatch.zone_price[1] == pytest.approx([0.375, 0.375], abs=1e-5)  # 0.3 / 0.8
    assert dispatch.flow_kw[1] == pytest.approx([-1.25, -2.5], abs=1e-5)  # what enters at the parent's end


@every_method
def test_price__behind_a_capped_connection__is_the_members_own(method: Method) -> None:
    home = Connection(name="home", import_kw=1)
    load = CurtailableLoad(name="load", connection="home", demand_kw=3, value=0.9)

    dispatch = day(RETAILER, load, connections=(home,), method=method)

    assert dispatch.zone_price[0] == pytest.approx([0.3, 0.3], abs=1e-5)
    assert dispatch.member_price[0] == pytest.approx([0.9, 0.9], abs=1e-5)


def test_price__in_slots_of_a_quarter_hour__is_still_per_kwh() -> None:
    dispatch = solve(Scenario(4, 0.25, assets=(RETAILER, Load(name="load", demand_kw=2))))

    assert dispatch.zone_price[0] == pytest.approx([0.3] * 4)
    assert dispatch.cost == pytest.approx(0.6)


def test_price__of_random_scenarios__is_what_a_little_more_load_costs() -> None:
    """The cost of all is convex in a load, so its slopes to the left and right of it enclose every price."""
    rng, little = np.random.default_rng(8), 1e-3
    for seed in range(40):
        scenario = random_scenario(seed, linear=True)
        zone, slot = int(rng.integers(scenario.zones)), int(rng.integers(scenario.slots))
        power = np.zeros(scenario.slots)
        power[slot] = little / scenario.slot_hours

        def cost(load: np.ndarray, scenario: Scenario = scenario, zone: int = zone) -> float:
            extra = Load(name="a little more", zone=zone, demand_kw=load)
            return -solve(replace(scenario, assets=(*scenario.assets, extra))).welfare

        less, same, more = cost(-power), cost(0 * power), cost(power)
        price = solve(scenario).zone_price[zone, slot]
        assert (same - less) / little - 1e-5 <= price <= (more - same) / little + 1e-5


# ---------------------------------------------------------------------------------------------------
# Degenerate cases
# ---------------------------------------------------------------------------------------------------


@every_method
def test_solve__nothing_at_all__costs_nothing(method: Method) -> None:
    assert day(method=method).cost == pytest.approx(0)


@every_method
def test_solve__no_load__sells_the_sun(method: Method) -> None:
    dispatch = day(RETAILER, Solar(name="sun", available_kw=[2, 0]), method=method)

    assert dispatch.cost == pytest.approx(-0.16, abs=1e-6)


@every_method
def test_solve__no_generation__buys_everything(method: Method) -> None:
    dispatch = day(RETAILER, Load(name="load", demand_kw=[2, 0]), method=method)

    assert dispatch.schedule["retailer"].power_kw == pytest.approx([2, 0], abs=1e-6)


@every_method
def test_solve__no_generation_and_no_retailer__says_how_much_is_missing(method: Method) -> None:
    with pytest.raises(DispatchError) as refused:
        day(Load(name="load", demand_kw=[0, 2.5]), method=method)

    if method != "structured":  # which has no proof that there is none
        assert isinstance(refused.value, Infeasible)
        assert "2.5" in str(refused.value)


@every_method
def test_solve__battery_without_capacity_or_power__stands_still(method: Method) -> None:
    flat = Battery(name="flat", power_kw=3, capacity_kwh=0)
    still = Battery(name="still", power_kw=0, capacity_kwh=5, start_kwh=2, end_kwh=2)

    dispatch = day(RETAILER, flat, still, Load(name="load", demand_kw=1), method=method)

    assert dispatch.schedule["flat"].power_kw == pytest.approx([0, 0], abs=1e-6)
    assert dispatch.schedule["still"].state == pytest.approx([2, 2], abs=1e-6)


@every_method
def test_solve__equal_costs__share_the_load_somehow(method: Method) -> None:
    twins = [Generator(name=f"twin {number}", max_kw=2, cost=0.1) for number in range(3)]

    dispatch = day(*twins, Load(name="load", demand_kw=[3, 5]), method=method)

    assert sum(dispatch.schedule[twin.name].power_kw for twin in twins) == pytest.approx([3, 5], abs=1e-6)
    assert dispatch.cost == pytest.approx(0.8)


@every_method
def test_solve__negative_prices__curtail_the_sun(method: Method) -> None:
    retailer = Retailer(name="retailer", import_price=0.1, export_price=-0.05, import_kw=9, export_kw=9)
    sun = Solar(name="sun", available_kw=[4, 4])

    dispatch = day(retailer, sun, Load(name="load", demand_kw=[1, 5]), method=method)

    assert dispatch.schedule["sun"].power_kw == pytest.approx([1, 4], abs=1e-5)
    assert dispatch.zone_price[0] == pytest.approx([0, 0.1], abs=1e-5)


@every_method
def test_solve__sun_that_must_be_taken__is_paid_for_at_negative_prices(method: Method) -> None:
    retailer = Retailer(name="retailer", import_price=0.1, export_price=-0.05, import_kw=9, export_kw=9)
    sun = Solar(name="sun", available_kw=4, curtailable=False)

    dispatch = day(retailer, sun, method=method)

    assert dispatch.zone_price[0] == pytest.approx([-0.05, -0.05], abs=1e-5)
    assert dispatch.cost == pytest.approx(0.4, abs=1e-6)


@every_method
def test_solve__line_that_carries_nothing__parts_the_zones(method: Method) -> None:
    grid = GridSpec(zones=(ZoneSpec(parent=None), ZoneSpec(parent=0, export_kw=0, import_kw=0)))
    generator = Generator(name="island", zone=1, max_kw=5, cost=0.7)

    dispatch = day(RETAILER, generator, Load(name="load", zone=1, demand_kw=1), grid=grid, method=method)

    assert dispatch.zone_price[1] == pytest.approx([0.7, 0.7], abs=1e-5)


@every_method
def test_solve__end_energy_out_of_reach__names_the_battery_and_what_it_lacks(method: Method) -> None:
    battery = Battery(name="cellar", power_kw=1, capacity_kwh=10, end_kwh=5, charge_efficiency=0.9)

    with pytest.raises(DispatchError) as refused:
        day(RETAILER, battery, method=method)

    if method != "structured":
        assert "cellar" in str(refused.value)
        assert "3.2" in str(refused.value)  # 5 - 2 * 0.9


@every_method
def test_solve__zero_value_and_zero_cost__is_served_or_not(method: Method) -> None:
    dispatch = day(
        CurtailableLoad(name="load", demand_kw=2, value=0), Solar(name="sun", available_kw=2), method=method
    )

    assert dispatch.welfare == pytest.approx(0, abs=1e-8)


# ---------------------------------------------------------------------------------------------------
# Whole decisions
# ---------------------------------------------------------------------------------------------------


def test_solve__exclusive_battery_at_negative_prices__does_not_do_both() -> None:
    retailer = Retailer(name="retailer", import_price=-0.1, export_price=-0.2, import_kw=9, export_kw=9)
    lossy = {"power_kw": 2, "capacity_kwh": 1, "charge_efficiency": 0.5, "discharge_efficiency": 0.5}

    either = day(retailer, Battery(name="battery", exclusive=True, **lossy)).solution
    both = day(retailer, Battery(name="battery", **lossy)).solution

    assert np.minimum(either.up, either.down).max() <= 1e-9
    assert np.minimum(both.up, both.down).max() > 0.1


def test_solve__exclusive_battery_at_ordinary_prices__needs_no_integers() -> None:
    battery = Battery(
        name="battery", power_kw=2, capacity_kwh=2, exclusive=True, wear_cost=0.01, charge_efficiency=0.9
    )
    load = CurtailableLoad(name="load", demand_kw=[0, 2], value=0.5, curvature=0.1)

    dispatch = day(RETAILER, Solar(name="sun", available_kw=[2, 0]), battery, load)

    assert "branch" not in dispatch.solution.solver
    assert np.minimum(dispatch.solution.up, dispatch.solution.down).max() <= 1e-6


def test_solve__generator_with_a_least_power__stands_still_when_it_does_not_pay() -> None:
    generator = Generator(name="engine", min_kw=2, max_kw=4, cost=0.2, on_off=True)

    dispatch = day(RETAILER, generator, Load(name="load", demand_kw=[3, 0.5]))

    assert dispatch.schedule["engine"].power_kw == pytest.approx([3, 0])


def test_solve__run__starts_when_the_sun_shines() -> None:
    run = LoadRun(name="wash", profile_kw=[2, 1], earliest=0, latest=3)

    dispatch = day(RETAILER, run, Solar(name="sun", available_kw=[0, 0, 2, 1, 0]), slots=5)

    assert dispatch.schedule["wash"].power_kw.tolist() == [0, 0, -2, -1, 0]


def test_solve__whole_decisions_with_quadratic_costs__says_it_cannot() -> None:
    run = LoadRun(name="wash", profile_kw=[1], earliest=0, latest=1)
    with pytest.raises(DispatchError, match="quadratic costs have no solver"):
        day(run, Generator(name="generator", max_kw=3, cost=0.1, curvature=0.1))


@pytest.mark.parametrize("method", ["structured", "piqp"])
def test_solve__method_that_knows_no_whole_decisions__says_so(method: Method) -> None:
    with pytest.raises(DispatchError, match="whole"):
        day(RETAILER, LoadRun(name="wash", profile_kw=[1], earliest=0, latest=1), method=method)


# ---------------------------------------------------------------------------------------------------
# Which method, and what it says
# ---------------------------------------------------------------------------------------------------


def test_methods__of_the_command__are_those_of_the_solver() -> None:
    assert COMMAND_METHODS == METHODS


@pytest.mark.parametrize(("linear", "other"), [(True, "HiGHS"), (False, "PIQP")])
def test_solve__structured_method_that_stops_short__is_replaced_and_the_result_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, linear: bool, other: str
) -> None:
    def stop_short(*_: object, **__: object) -> None:
        raise NotConverged("it stopped short")

    monkeypatch.setattr(structured, "solve", stop_short)
    monkeypatch.setattr("clearwatt.dispatch.solve.SMALL", 0)

    with caplog.at_level(logging.WARNING):
        dispatch = solve(random_scenario(3, linear=linear))

    assert dispatch.fallback == "it stopped short"
    assert dispatch.solution.solver.startswith(other)
    assert f"{other} solves it again" in caplog.text


def test_solve__too_large_for_the_fallback__says_how_far_the_structured_method_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop_short(*_: object, **__: object) -> None:
        raise NotConverged("it stopped short")

    monkeypatch.setattr(structured, "solve", stop_short)
    monkeypatch.setattr("clearwatt.dispatch.solve.LARGE", 1)
    generator = Generator(name="generator", cost=0.1, curvature=0.01, max_kw=5)
    with pytest.raises(NotConverged, match="it stopped short"):
        day(RETAILER, generator, Load(name="load", demand_kw=2))


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_solve__quadratic_scenarios__structured_and_piqp_agree(first: int) -> None:
    for seed in range(first, first + 20):
        scenario = random_scenario(seed, copies=2)
        ours, theirs = solve(scenario), solve(scenario, "piqp")
        assert ours.welfare == pytest.approx(theirs.welfare, rel=1e-6, abs=1e-6)
        assert ours.certificate.gap <= CERTIFIED
