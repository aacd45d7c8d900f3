"""A community's day without a chain: the same bids, the exact solver, and settlement by the same rules.

It tells what a day would have been with nothing flexible, and a year in minutes. The money is to the unit what a chain
would have paid, but where members share a step's last Wh: that goes by their addresses, which here are rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction, Result
from clearwatt.clearing.tree import clear
from clearwatt.community.agents import member_steps, retailer_steps
from clearwatt.community.devices import DeviceDay, Known
from clearwatt.community.fleet import Bundle, Fleet, Outlook, bundle, contracted, make_fleet, outlook
from clearwatt.community.scenario import SLOTS_PER_DAY, Community
from clearwatt.community.tariff import Tariff
from clearwatt.oracle.balancing import imbalance_prices
from clearwatt.units import INT24_MAX, INT24_MIN

SIGNED_AHEAD = 2
"""Slots between signing a bid and the auction's first slot."""
RETAILER = -1


@dataclass(frozen=True)
class Rehearsal:
    """A day as it was settled; S = 96 slots, Z zones, members in the community's order.

    prices, surplus, shortage: int64[Z, S] ticks. flows: int64[Z, S] contracted Wh towards the parent.
    positions, readings: int64[members, S] Wh. retailer_position: int64[S] Wh.
    money: int64[members] what the market paid each, negative = it paid. retailer_money, network_income: likewise.
    devices: batteries and cars, none if nothing was flexible.
    """

    prices: np.ndarray
    flows: np.ndarray
    surplus: np.ndarray
    shortage: np.ndarray
    positions: np.ndarray
    retailer_position: np.ndarray
    readings: np.ndarray
    money: np.ndarray
    retailer_money: int
    network_income: int
    devices: tuple[DeviceDay, ...]


def rehearse(
    community: Community,
    day: int,
    tariff: Tariff,
    slots_per_auction: int = SLOTS_PER_DAY,
    flexible: bool = True,
    expected: Outlook | None = None,
) -> Rehearsal:
    """One day of the community's market.

    slots_per_auction: divides 96. flexible: whether batteries and cars take part; otherwise batteries rest and cars
        charge as measured. expected: what members think their meters will read without their devices; by default
        what their last seven days make likely.
    """
    expected = expected or outlook(community, day, flexible)
    fleet = make_fleet(community, day, tariff, expected, (INT24_MIN, INT24_MAX)) if flexible else None
    stage = _Stage(community, tariff, expected, fleet)
    for first in range(0, SLOTS_PER_DAY, slots_per_auction):
        stage.trade(first, slots_per_auction)
    if fleet is None:
        return stage.settled(community.net(day), ())
    readings = community.net_without_cars(day) + fleet.at_meters(len(community.members))
    return stage.settled(readings, fleet.days(community))


class _Stage:
    """The market's state during the day."""

    def __init__(self, community: Community, tariff: Tariff, expected: Outlook, fleet: Fleet | None) -> None:
        self.community, self.tariff, self.expected, self.fleet = community, tariff, expected, fleet
        zones, members = community.grid.zones, len(community.members)
        self.prices, self.flows = np.zeros((2, zones, SLOTS_PER_DAY), dtype=np.int64)
        self.positions = np.zeros((members + 1, SLOTS_PER_DAY), dtype=np.int64)  # the retailer's is the last

    def trade(self, first: int, slots: int) -> None:
        """One auction: bids, clearing, and what the devices make of it."""
        bundles = self._bundles(first, slots)
        part = self.tariff.auction(first, slots)
        offer = retailer_steps(part, self.community.peak_wh, self.community.network_fee)
        bids = [
            _bid(row, member.zone, bundles[row].steps) for row, member in enumerate(self.community.members)
        ]
        bids.append(_bid(RETAILER, 0, offer))
        result = clear(Auction(slots, INT24_MIN, INT24_MAX, self.community.grid, tuple(bids)))
        self._enter(first, slots, bids, result)
        if self.fleet:
            agreed = {}
            for own, fills in zip(bundles, result.fills, strict=False):
                agreed |= contracted(own, fills, slots)
            self.fleet.deliver(first, slots, agreed)

    def _bundles(self, first: int, slots: int) -> list[Bundle]:
        span, part = slice(first, first + slots), self.tariff.auction(first, slots)
        known = Known(first, first - SIGNED_AHEAD)
        devices = self.fleet.offers(known, slots) if self.fleet else {}
        ranges = zip(self.expected.low[:, span].tolist(), self.expected.high[:, span].tolist(), strict=True)
        return [
            bundle(member_steps(low, high, part), devices.get(row, {}))
            for row, (low, high) in enumerate(ranges)
        ]

    def _enter(self, first: int, slots: int, bids: Sequence[Bid], result: Result) -> None:
        span = slice(first, first + slots)
        self.prices[:, span], self.flows[:, span] = result.prices, result.flows
        for position, bid, fills in zip(self.positions, bids, result.fills, strict=True):
            np.add.at(position, [first + step.slot for step in bid.steps], fills)

    def settled(self, readings: np.ndarray, devices: tuple[DeviceDay, ...]) -> Rehearsal:
        """Contracts at the zones' prices, deviations at the imbalance prices, the retailer on their other side."""
        zones = [member.zone for member in self.community.members]
        positions, retailer = self.positions[:-1], self.positions[-1]
        deviations = readings - positions
        tariff = self.tariff
        surplus, shortage = imbalance_prices(
            self.prices, deviations, zones, tariff.import_price, tariff.export_price
        )
        contracts = (positions * self.prices[zones]).sum(axis=1)
        penalties = (deviations * np.where(deviations > 0, surplus[zones], shortage[zones])).sum(axis=1)
        sold = int((retailer * self.prices[0]).sum())
        return Rehearsal(
            prices=self.prices,
            flows=self.flows,
            surplus=surplus,
            shortage=shortage,
            positions=positions,
            retailer_position=retailer,
            readings=readings,
            money=contracts + penalties,
            retailer_money=sold - int(penalties.sum()),
            network_income=-sold - int(contracts.sum()),
            devices=devices,
        )


def _bid(row: int, zone: int, steps: tuple[Step, ...]) -> Bid:
    """Rows as addresses, in the rows' order, the retailer's the first."""
    return Bid(f"0x{row + 2:040x}", zone, steps)
