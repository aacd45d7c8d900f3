"""A market day without a chain: real members, the real solver, and settlement as the protocol has it.

Gas figures are made up: these tests are about adding them, not about their size.
"""

import numpy as np
import pytest

from clearwatt.community.outcome import Check, DayOutcome, ForecastScore, GasUse, MemberInfo
from clearwatt.community.rehearsal import rehearse
from clearwatt.community.scenario import (
    SLOT_SECONDS,
    SLOTS_PER_DAY,
    Community,
    date_of,
    load_community,
    parse_day,
)
from clearwatt.community.tariff import Tariff
from clearwatt.forecast.scores import score
from clearwatt.forecast.seasonal import persistence, seven_day_mean
from clearwatt.grid import Grid, Line

RETAILER, PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2, 3))


@pytest.fixture(scope="session")
def community() -> Community:
    return load_community()


@pytest.fixture(scope="session")
def midsummer(community: Community) -> DayOutcome:
    return simulated_day(community, parse_day("2016-06-21"), Tariff.parse())


@pytest.fixture(scope="session")
def flexible_midsummer(community: Community) -> DayOutcome:
    """The same day with batteries and cars, in auctions of an hour."""
    return simulated_day(community, parse_day("2016-06-21"), Tariff.parse(), 4, flexible=True)


@pytest.fixture(scope="session")
def day_with_fees() -> DayOutcome:
    return simulated_day(load_community(line_fee=500), parse_day("2016-06-21"), Tariff.parse())


@pytest.fixture
def small_day() -> DayOutcome:
    return two_slots()


def simulated_day(
    community: Community, day: int, tariff: Tariff, slots_per_auction: int = 96, flexible: bool = False
) -> DayOutcome:
    """One day of the community's market, every member bidding by its last seven days."""
    members = tuple(
        MemberInfo(f"0x{index + 2:040x}", member.name, member.zone, member.source)
        for index, member in enumerate(community.members)
    )
    played = rehearse(community, day, tariff, slots_per_auction, flexible)
    rest = rehearse(community, day, tariff, flexible=False)
    solar = [member.source == "solar" for member in members]
    injected = int(np.maximum(played.readings[solar], 0).sum())
    addresses = [member.address for member in members]
    generation, unmanaged = community.generation(day), community.net(day)
    charging = -community.charging(day)
    for device in played.devices:
        if device.kind == "car":
            charging[[member.name for member in members].index(device.member)] = device.delivered

    def by_address(rows: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(addresses, rows, strict=True))

    return DayOutcome(
        day=date_of(day),
        network="no chain (test)",
        first_block=1,
        last_block=400,
        seed=0,
        slots_per_auction=slots_per_auction,
        slot_seconds=SLOT_SECONDS,
        grid=community.grid,
        zone_names=community.zone_names,
        tariff=tariff,
        members=members,
        retailer=RETAILER,
        prices=played.prices,
        flows=played.flows,
        surplus=played.surplus,
        shortage=played.shortage,
        positions=by_address(played.positions) | {RETAILER: played.retailer_position},
        readings=by_address(played.readings),
        consumption=by_address(generation - community.net_without_cars(day) - charging),
        generation=by_address(generation),
        devices=played.devices,
        unmanaged=by_address(unmanaged),
        settled_money=dict(zip(addresses, played.money.tolist(), strict=True))
        | {RETAILER: played.retailer_money},
        unmanaged_money=dict(zip(addresses, rest.money.tolist(), strict=True)),
        plan_gap=1e-12 if flexible else None,
        planned_by=("a solver",) if flexible else (),
        network_income=played.network_income,
        tokens_issued={"solar": injected} if injected else {},
        tokens_retired={"solar": injected // 3} if injected else {},
        gas=_gas(len(members), SLOTS_PER_DAY // slots_per_auction, slots_per_auction),
        forecast_scores=_scores(community, day),
        checks=(Check("Every auction was cleared", True, f"{SLOTS_PER_DAY // slots_per_auction} auctions"),),
        gas_price_gwei=0.05,
        currency_per_ether=3000.0,
    )


def _gas(members: int, auctions: int, slots: int) -> tuple[GasUse, ...]:
    steps = members * slots
    return tuple(
        use
        for auction in range(auctions)
        for use in (
            *(GasUse("bid", 45_000 + 700 * slots, slots, 1, auction) for _ in range(members)),
            GasUse("clear", 200_000 + 1_600 * steps, steps, members, auction),
            GasUse("imbalance", 90_000, 0, 0, auction),
            *(GasUse("settle", 60_000 + 500 * slots, slots, 1, auction) for _ in range(members)),
            GasUse("tokens", 120_000, 0, members, auction),
        )
    )


def _scores(community: Community, day: int) -> tuple[ForecastScore, ...]:
    history, measured = community.history(day), community.net(day)
    return tuple(
        ForecastScore(name, scope, score(collect(forecast), collect(measured)))
        for name, forecast in (
            ("seven-day mean", seven_day_mean(history)),
            ("same as yesterday", persistence(history)),
        )
        for scope, collect in (
            ("each member", lambda series: series),
            ("community", lambda series: series.sum(axis=0)),
        )
    )


def two_slots() -> DayOutcome:
    """Two slots of a producer and a consumer on one line, small enough to settle by hand.

    The retailer buys 10 Wh at 8 in the first slot and sells 20 Wh at 30 in the second.
    """
    return DayOutcome(
        day=date_of(0),
        network="by hand",
        first_block=1,
        last_block=9,
        seed=0,
        slots_per_auction=2,
        slot_seconds=SLOT_SECONDS,
        grid=Grid((-1, 0), (Line(), Line(export_limit=100, import_limit=50))),
        zone_names=("upstream grid", "feeder"),
        tariff=Tariff((30, 30), (8, 8)),
        members=(MemberInfo(PRODUCER, "farm", 1, "solar"), MemberInfo(CONSUMER, "flat", 1, "none")),
        retailer=RETAILER,
        prices=np.array([[8, 30], [8, 30]]),
        flows=np.array([[0, 0], [10, -20]]),
        surplus=np.array([[5, 30], [5, 30]]),
        shortage=np.array([[8, 34], [8, 34]]),
        positions={
            PRODUCER: np.array([60, 10]),
            CONSUMER: np.array([-50, -30]),
            RETAILER: np.array([-10, 20]),
        },
        readings={PRODUCER: np.array([70, 5]), CONSUMER: np.array([-50, -40])},
        consumption={PRODUCER: np.array([10, 5]), CONSUMER: np.array([50, 40])},
        generation={PRODUCER: np.array([80, 10]), CONSUMER: np.array([0, 0])},
        devices=(),
        unmanaged={PRODUCER: np.array([70, 5]), CONSUMER: np.array([-50, -40])},
        settled_money={
            PRODUCER: 60 * 8 + 10 * 30 + 10 * 5 - 5 * 34,
            CONSUMER: -50 * 8 - 30 * 30 - 10 * 34,
            RETAILER: -10 * 8 + 20 * 30 - 10 * 5 + 5 * 34 + 10 * 34,
        },
        unmanaged_money={PRODUCER: 60 * 8, CONSUMER: -50 * 8 - 40 * 30},
        plan_gap=None,
        planned_by=(),
        network_income=0,
        tokens_issued={"solar": 75},
        tokens_retired={"solar": 40},
        gas=(
            GasUse("bid", 1_000, 4, 1, 0),
            GasUse("bid", 3_000, 4, 1, 0),
            GasUse("clear", 8_000, 8, 2, 0),
            GasUse("imbalance", 500, 0, 0, 0),
            GasUse("settle", 4_000, 8, 2, 0),
        ),
        forecast_scores=(),
        checks=(Check("Every auction was cleared", True, "1 auction"),),
        gas_price_gwei=2.0,
        currency_per_ether=2500.0,
    )
