"""What one day of a market leaves behind: facts from the chain, from the meters and from behind them.

The simulation fills a `DayOutcome`; indicators and the report are functions of it and of nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

import numpy as np

from clearwatt.community.devices import DeviceDay
from clearwatt.community.tariff import Tariff
from clearwatt.forecast.scores import Scores
from clearwatt.grid import Grid
from clearwatt.units import Money

GasKind = Literal["bid", "clear", "imbalance", "settle", "tokens"]


class MemberInfo(NamedTuple):
    """A member as the report shows it. source: "solar", ... or "none" where it generates nothing."""

    address: str
    name: str
    zone: int
    source: str


class GasUse(NamedTuple):
    """One transaction's gas, from its receipt.

    steps: bid steps it carries. members: how many it serves. auction: which one of the day, from 0.
    """

    kind: GasKind
    gas: int
    steps: int
    members: int
    auction: int


class Check(NamedTuple):
    """Something that must hold, and whether it did; detail: the figures compared, in words."""

    name: str
    ok: bool
    detail: str


class ForecastScore(NamedTuple):
    """method: "seven-day mean", ... scope: "each member" or "community"."""

    method: str
    scope: str
    scores: Scores


@dataclass(frozen=True)
class DayOutcome:
    """One day, S slots long (96), in a grid of Z zones.

    members: without the retailer, which is the balancing party too and whose address is ``retailer``.
    prices: int64[Z, S] ticks.
    flows: int64[Z, S] contracted Wh towards the parent, as `Grid.flows` gives them.
    surplus, shortage: int64[Z, S] ticks, the imbalance prices.
    positions: address -> int64[S] contracted net Wh, of every member and the retailer.
    readings: address -> int64[S] measured net Wh, of every member.
    consumption, generation: address -> int64[S] Wh >= 0 behind each member's meter, cars included and batteries not;
        never on chain.
    devices: what batteries and cars did; a meter reads generation - consumption + what its battery injects.
    unmanaged: address -> int64[S] net Wh, of every member: its reading if batteries rested and cars charged as soon as
        they came.
    settled_money: address -> what the market paid it for the day, negative = it paid; retailer included.
    unmanaged_money: address -> what the same market would have paid every member for `unmanaged`, played off chain.
    plan_gap: largest relative duality gap of the devices' plans; None if nobody had one.
    planned_by: the solvers of those plans.
    network_income: what the network account received.
    tokens_issued, tokens_retired: energy source -> Wh.
    forecast_scores: of forecasts made from the same history as the bids.
    checks: what the simulation verified against the chain.
    gas_price_gwei, currency_per_ether: stated assumptions, nothing measured.
    currency: its symbol, shown before amounts.
    """

    day: date
    network: str
    first_block: int
    last_block: int
    seed: int
    slots_per_auction: int
    slot_seconds: int
    grid: Grid
    zone_names: tuple[str, ...]
    tariff: Tariff
    members: tuple[MemberInfo, ...]
    retailer: str
    prices: np.ndarray
    flows: np.ndarray
    surplus: np.ndarray
    shortage: np.ndarray
    positions: Mapping[str, np.ndarray]
    readings: Mapping[str, np.ndarray]
    consumption: Mapping[str, np.ndarray]
    generation: Mapping[str, np.ndarray]
    devices: tuple[DeviceDay, ...]
    unmanaged: Mapping[str, np.ndarray]
    settled_money: Mapping[str, Money]
    unmanaged_money: Mapping[str, Money]
    plan_gap: float | None
    planned_by: tuple[str, ...]
    network_income: Money
    tokens_issued: Mapping[str, int]
    tokens_retired: Mapping[str, int]
    gas: tuple[GasUse, ...]
    forecast_scores: tuple[ForecastScore, ...]
    checks: tuple[Check, ...]
    gas_price_gwei: float
    currency_per_ether: float
    currency: str = "€"

    @property
    def slots(self) -> int:
        """Delivery slots of the day, S."""
        return self.prices.shape[1]

    def stack(self, series: Mapping[str, np.ndarray]) -> np.ndarray:
        """One of the mappings above as int64[members, S], in the order of ``members``."""
        rows = [np.asarray(series[member.address], dtype=np.int64) for member in self.members]
        return np.stack(rows) if rows else np.zeros((0, self.slots), dtype=np.int64)

    def batteries(self) -> np.ndarray:
        """What each member's battery injects: int64[members, S] Wh, in the order of ``members``."""
        rows = np.zeros((len(self.members), self.slots), dtype=np.int64)
        row_of = {member.name: row for row, member in enumerate(self.members)}
        for device in self.devices:
            if device.kind == "battery":
                rows[row_of[device.member]] += device.delivered
        return rows

    def injections(self, rows: np.ndarray) -> np.ndarray:
        """Net energy by zone, the retailer making up for it in zone 0: int64[members, S] to int64[Z, S]."""
        zones = np.zeros((self.grid.zones, self.slots), dtype=np.int64)
        np.add.at(zones, [member.zone for member in self.members], rows)
        zones[0] -= rows.sum(axis=0)
        return zones
