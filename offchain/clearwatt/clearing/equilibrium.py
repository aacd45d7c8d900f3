"""The check of a cleared auction: the rules E1 to E7 and the sharing rule S4 of the protocol, in Python.

This is the reference beside the contract's ``Equilibrium`` library and accepts exactly what that accepts.
It was written apart from the solver, shares only the types with it, and prefers clarity to speed: one pass
over the bids, one over the lines of each slot, exact integers, no sorting by price and no search.

    E1 sell step   below the zone's price: filled whole; above: not at all; at the price: marginal
    E2 buy step    the mirror image
    E3 line        flow within its limits, and the prices at its ends differ as the flow allows
    E4 balance     the whole tree injects 0 in every slot
    E5 complete    every step of every bid has its fill
    E6 canonical   the price is the rounded midpoint of all equilibrium prices
    E7 volume      of two marginal sides in one zone and slot, at least one is filled whole
    S4 shares      marginal steps share what their side gets pro rata, dealt in canonical order

Two forms: `check_claim` takes what travels to the chain and derives the fills, `check_result` takes a
result with its fills and asks the same of them. Both stop at the first rule broken, in the contract's order.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from clearwatt.bids import Bid
from clearwatt.clearing.auction import Auction, Claim, Marginal, Result, Side
from clearwatt.grid import Grid, Line

Rule = Literal["E1", "E2", "E3", "E4", "E5", "E6", "E7", "S4", "welfare"]
Table = Sequence[Sequence[int]]
"""[Z][T]: one row per zone, one entry per slot."""
Volumes = dict[tuple[int, int, Side], Marginal]

UNBOUNDED = 2**62
"""Stands for infinity where no implication of E3 bounds a price difference; no sum of prices reaches it."""


class RuleBroken(Exception):
    """A rule does not hold.

    rule: its tag. where: the place, some of zone, slot, side, member, step (index within the member's bid).
    The message is the tag and one sentence.
    """

    def __init__(self, rule: Rule, sentence: str, **where: int | str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule: Rule = rule
        self.where = where


# ---------------------------------------------------------------------------------------------------
# The two forms
# ---------------------------------------------------------------------------------------------------


def check_claim(auction: Auction, claim: Claim) -> Result:
    """The result that a claim stands for: fills, flows and welfare derived as the contract derives them.

    Raises `RuleBroken` with the first rule broken, ValueError if the prices are not [Z][T].
    """
    _require_table(auction, "prices", claim.prices)
    volumes = _declared_volumes(claim.marginals)
    fills = _derive_fills(auction, claim.prices, volumes)
    flows = _check_market(auction, claim.prices, fills, volumes)
    return Result(claim.prices, flows, fills, _welfare(auction, fills, flows))


def check_result(auction: Auction, result: Result) -> None:
    """Raise `RuleBroken` with the first rule broken unless the result is the optimum at the canonical price.

    Raises ValueError if prices or flows are not [Z][T].
    """
    _require_table(auction, "prices", result.prices)
    _require_table(auction, "flows", result.flows)
    _check_completeness(auction, result.fills)
    _check_fills(auction, result)
    volumes = _declared_volumes(claim_of(auction, result).marginals)
    _check_market(auction, result.prices, result.fills, volumes, stated_flows=result.flows)
    _check_shares(auction, result, volumes)
    worth = _welfare(auction, result.fills, result.flows)
    if result.welfare != worth:
        raise RuleBroken("welfare", f"the result states {result.welfare}, but its fills are worth {worth}")


def claim_of(auction: Auction, result: Result) -> Claim:
    """What goes to the chain for this result: its prices, and the marginal volumes read off its fills."""
    quantity: dict[tuple[int, int, bool], int] = defaultdict(int)
    filled: dict[tuple[int, int, bool], int] = defaultdict(int)
    for bid, fills in zip(auction.bids, result.fills, strict=True):
        for step, fill in zip(bid.steps, fills, strict=True):
            if step.price == result.prices[bid.zone][step.slot]:
                key = (bid.zone, step.slot, step.quantity < 0)
                quantity[key] += abs(step.quantity)
                filled[key] += abs(fill)
    marginals = (
        Marginal(key[0], key[1], "buy" if key[2] else "sell", quantity[key], filled[key])
        for key in sorted(quantity)
    )
    return Claim(result.prices, tuple(marginals))


# ---------------------------------------------------------------------------------------------------
# Steps: E1, E2, S4, E5
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Placed:
    """A step with its place: the index-th of a bid, beside its zone's price in its slot."""

    bid: Bid
    index: int
    price: int

    @property
    def slot(self) -> int:
        return self.bid.steps[self.index].slot

    @property
    def limit(self) -> int:
        return self.bid.steps[self.index].price

    @property
    def quantity(self) -> int:
        return self.bid.steps[self.index].quantity

    @property
    def side(self) -> Side:
        return "sell" if self.quantity > 0 else "buy"

    @property
    def marginal(self) -> bool:
        return self.limit == self.price

    @property
    def due(self) -> int:
        """What a step off the margin is filled: all of it if its limit is better than the price, else 0."""
        better = self.limit < self.price if self.side == "sell" else self.limit > self.price
        return self.quantity if better else 0

    def broken(self, complaint: str, rule: Rule | None = None) -> RuleBroken:
        """The rule broken here; by default that of the step's side."""
        member, zone = self.bid.member, self.bid.zone
        sentence = (
            f"{self.side} step {self.index} of member {member} (zone {zone}, slot {self.slot}) {complaint}"
        )
        where = {"member": member, "step": self.index, "zone": zone, "slot": self.slot}
        return RuleBroken(rule or _rule_of(self.side), sentence, **where)


def _rule_of(side: Side) -> Rule:
    return "E1" if side == "sell" else "E2"


def _canonical_order(bids: Sequence[Bid]) -> list[int]:
    """Indices of the bids, members ascending by address: the order in which the chain reads them."""
    return sorted(range(len(bids)), key=lambda index: int(bids[index].member, 16))


def _placed_steps(bid: Bid, prices: Table) -> Iterator[_Placed]:
    for index, step in enumerate(bid.steps):
        yield _Placed(bid, index, prices[bid.zone][step.slot])


def _declared_volumes(marginals: Sequence[Marginal]) -> Volumes:
    """The marginal volumes by place and side; in order, none empty [S4], none overfilled [E1, E2]."""
    volumes: Volumes = {}
    previous = (-1, -1, False)
    for marginal in marginals:
        zone, slot, side, quantity, filled = marginal
        place = f"the marginal {side} volume of zone {zone}, slot {slot}"
        where = {"zone": zone, "slot": slot, "side": side}
        key = (zone, slot, side == "buy")
        if key <= previous:
            raise RuleBroken("S4", f"{place} is out of order or named twice", **where)
        if quantity <= 0:
            raise RuleBroken("S4", f"{place} names a quantity of {quantity} Wh", **where)
        if not 0 <= filled <= quantity:
            raise RuleBroken(_rule_of(side), f"{place} is filled {filled} of {quantity} Wh", **where)
        volumes[zone, slot, side] = marginal
        previous = key
    return volumes


def _derive_fills(auction: Auction, prices: Table, volumes: Volumes) -> tuple[tuple[int, ...], ...]:
    """Fills per bid and step, signed like the quantities [E1, E2, S4]."""
    found: dict[tuple[int, int, Side], int] = defaultdict(int)
    fills: dict[int, tuple[int, ...]] = {}
    for index in _canonical_order(auction.bids):
        steps = _placed_steps(auction.bids[index], prices)
        fills[index] = tuple(_share(step, volumes, found) if step.marginal else step.due for step in steps)
    for place, marginal in volumes.items():
        if found[place] != marginal.quantity:
            zone, slot, side = place
            named = f"names {marginal.quantity} Wh, but the bids hold {found[place]} Wh"
            sentence = f"the marginal {side} volume of zone {zone}, slot {slot} {named}"
            raise RuleBroken("S4", sentence, zone=zone, slot=slot, side=side)
    return tuple(fills[index] for index in range(len(auction.bids)))


def _share(step: _Placed, volumes: Volumes, found: dict[tuple[int, int, Side], int]) -> int:
    """A marginal step's part of its side's filled volume [S4]; `found` keeps the running sums S."""
    place = (step.bid.zone, step.slot, step.side)
    if place not in volumes:
        raise step.broken(f"is at the price, {step.price} ticks, but no marginal volume is named for it")
    before, after = found[place], found[place] + abs(step.quantity)
    found[place] = after
    marginal = volumes[place]
    share = after * marginal.filled // marginal.quantity - before * marginal.filled // marginal.quantity
    return share if step.side == "sell" else -share


def _check_completeness(auction: Auction, fills: Table) -> None:
    """[E5] Each bid has its fills, each step its own, and there are no others."""
    if len(fills) > len(auction.bids):
        raise RuleBroken("E5", f"there are fills for {len(fills)} bids, but only {len(auction.bids)} bids")
    for index, bid in enumerate(auction.bids):
        if index >= len(fills):
            raise RuleBroken("E5", f"the bid of member {bid.member} has no fills", member=bid.member)
        if len(fills[index]) != len(bid.steps):
            count = f"{len(fills[index])} fills for {len(bid.steps)} steps"
            raise RuleBroken("E5", f"the bid of member {bid.member} has {count}", member=bid.member)


def _check_fills(auction: Auction, result: Result) -> None:
    """[E1, E2] Each stated fill fits its step; at the price it may be any part of the quantity."""
    for index in _canonical_order(auction.bids):
        steps = _placed_steps(auction.bids[index], result.prices)
        for step, fill in zip(steps, result.fills[index], strict=True):
            if step.marginal and not min(0, step.quantity) <= fill <= max(0, step.quantity):
                raise step.broken(f"offers {step.quantity} Wh and is filled {fill} Wh")
            if not step.marginal and fill != step.due:
                terms = f"has a limit of {step.limit} at a price of {step.price} ticks"
                raise step.broken(f"{terms} and must be filled {step.due} Wh, not {fill} Wh")


def _check_shares(auction: Auction, result: Result, volumes: Volumes) -> None:
    """[S4] The stated fills are the shares that the chain will derive."""
    derived = _derive_fills(auction, result.prices, volumes)
    for index in _canonical_order(auction.bids):
        steps = _placed_steps(auction.bids[index], result.prices)
        for step, fill, share in zip(steps, result.fills[index], derived[index], strict=True):
            if fill != share:
                complaint = f"is filled {fill} Wh; its share of the marginal volume is {share} Wh"
                raise step.broken(complaint, rule="S4")


# ---------------------------------------------------------------------------------------------------
# Zones and lines: E4, E3, E6, E7
# ---------------------------------------------------------------------------------------------------


def _check_market(
    auction: Auction, prices: Table, fills: Table, volumes: Volumes, stated_flows: Table | None = None
) -> tuple[tuple[int, ...], ...]:
    """The flows [Z][T] that the fills cause, after [E4], [E3], [E6] slot by slot and [E7]."""
    injections = _injections(auction, fills)
    bounds = _own_bounds(auction, prices, volumes)
    flows_by_slot = []
    for slot in range(auction.slots):
        slot_prices = [row[slot] for row in prices]
        flows = _subtree_flows(auction.grid, injections[slot])
        _check_balance(slot, flows)
        if stated_flows is not None:
            _check_stated_flows(slot, [row[slot] for row in stated_flows], flows)
        bands = _check_lines(auction.grid, slot, slot_prices, flows)
        canonical = _canonical_prices(auction.grid, bounds.low[slot], bounds.high[slot], bands)
        _check_canonical(slot, slot_prices, canonical)
        flows_by_slot.append(flows)
    _check_volume(volumes)
    return tuple(zip(*flows_by_slot, strict=True))


def _injections(auction: Auction, fills: Table) -> list[list[int]]:
    """Net injection per slot and zone, Wh."""
    injections = [[0] * auction.grid.zones for _ in range(auction.slots)]
    for bid, bid_fills in zip(auction.bids, fills, strict=True):
        for step, fill in zip(bid.steps, bid_fills, strict=True):
            injections[step.slot][bid.zone] += fill
    return injections


def _subtree_flows(grid: Grid, injections: Sequence[int]) -> list[int]:
    """Flow on each zone's line in one slot, positive towards the parent; entry 0 is what the tree injects."""
    flows = list(injections)
    for zone in range(grid.zones - 1, 0, -1):
        flows[grid.parents[zone]] += flows[zone]
    return flows


def _check_balance(slot: int, flows: Sequence[int]) -> None:
    """[E4] The whole tree injects 0."""
    if flows[0] != 0:
        raise RuleBroken("E4", f"slot {slot} is out of balance by {flows[0]} Wh", slot=slot)


def _check_stated_flows(slot: int, stated: Sequence[int], flows: Sequence[int]) -> None:
    """[E3] The stated flow of each line is what its subtree injects."""
    for zone, (told, true) in enumerate(zip(stated, flows, strict=True)):
        if told != true:
            sentence = f"the flow of zone {zone}, slot {slot} is stated as {told} Wh, but is {true} Wh"
            raise RuleBroken("E3", sentence, zone=zone, slot=slot)


def _check_lines(grid: Grid, slot: int, prices: Sequence[int], flows: Sequence[int]) -> list[tuple[int, int]]:
    """[E3] The band a..b that each line's flow sets for the parent's price less the zone's, and they keep to.

    Entry 0 exists for alignment only.
    """
    bands = [(-UNBOUNDED, UNBOUNDED)]
    for zone in range(1, grid.zones):
        line, flow = grid.lines[zone], flows[zone]
        place = f"the line of zone {zone}, slot {slot} carries {flow} Wh"
        if flow > line.export_limit:
            raise RuleBroken(
                "E3", f"{place}, above its export limit, {line.export_limit}", zone=zone, slot=slot
            )
        if flow < -line.import_limit:
            raise RuleBroken(
                "E3", f"{place}, beyond its import limit, {line.import_limit}", zone=zone, slot=slot
            )
        least, most = _difference_band(line, flow)
        difference = prices[grid.parents[zone]] - prices[zone]
        if not least <= difference <= most:
            need = f"at least {least}" if difference < least else f"at most {most}"
            sentence = f"{place}: the parent's price less the zone's is {difference} ticks and must be {need}"
            raise RuleBroken("E3", sentence, zone=zone, slot=slot)
        bands.append((least, most))
    return bands


def _difference_band(line: Line, flow: int) -> tuple[int, int]:
    """[E3] Least and most of the parent's price less the zone's, given the flow towards the parent."""
    least, most = -UNBOUNDED, UNBOUNDED
    if flow < line.export_limit:  # more export would pay if the difference were above the fee
        most = line.fee
    if flow > -line.import_limit:
        least = -line.fee
    if flow > 0:  # what is exported must earn the fee
        least = line.fee
    if flow < 0:
        most = -line.fee
    return least, most


@dataclass(frozen=True)
class _Bounds:
    """[E6] What the fills of a zone's own steps, and the auction's bounds, leave to its price.

    low, high: ticks, each a list per slot of one entry per zone.
    """

    low: list[list[int]]
    high: list[list[int]]

    def at_least(self, zone: int, slot: int, price: int) -> None:
        self.low[slot][zone] = max(self.low[slot][zone], price)

    def at_most(self, zone: int, slot: int, price: int) -> None:
        self.high[slot][zone] = min(self.high[slot][zone], price)


def _own_bounds(auction: Auction, prices: Table, volumes: Volumes) -> _Bounds:
    """[E6] lo and hi of every slot and zone, before the lines tighten them."""
    slots, zones = range(auction.slots), auction.grid.zones
    bounds = _Bounds(
        [[auction.min_price] * zones for _ in slots], [[auction.max_price] * zones for _ in slots]
    )
    for bid in auction.bids:
        for slot, limit, _ in bid.steps:
            if limit < prices[bid.zone][slot]:  # a sell filled whole or a buy left out
                bounds.at_least(bid.zone, slot, limit)
            elif limit > prices[bid.zone][slot]:
                bounds.at_most(bid.zone, slot, limit)
    for zone, slot, side, quantity, filled in volumes.values():
        if (filled > 0) if side == "sell" else (filled < quantity):
            bounds.at_least(zone, slot, prices[zone][slot])
        if (filled < quantity) if side == "sell" else (filled > 0):
            bounds.at_most(zone, slot, prices[zone][slot])
    return bounds


def _canonical_prices(
    grid: Grid, lowest: Sequence[int], highest: Sequence[int], bands: Sequence[tuple[int, int]]
) -> list[int]:
    """[E6] Midpoints, rounded down, of the lowest and the highest equilibrium prices of one slot.

    One pass up and one pass down the tree tighten the zones' own bounds by their neighbours'.
    """
    low, high = list(lowest), list(highest)
    for zone in range(grid.zones - 1, 0, -1):
        parent, (least, most) = grid.parents[zone], bands[zone]
        low[parent] = max(low[parent], low[zone] + least)
        high[parent] = min(high[parent], high[zone] + most)
    for zone in range(1, grid.zones):
        parent, (least, most) = grid.parents[zone], bands[zone]
        low[zone] = max(low[zone], low[parent] - most)
        high[zone] = min(high[zone], high[parent] - least)
    return [(below + above) // 2 for below, above in zip(low, high, strict=True)]


def _check_canonical(slot: int, prices: Sequence[int], canonical: Sequence[int]) -> None:
    """[E6] The price bounds need no rule of their own: with all limits inside them, so is the midpoint."""
    for zone, (price, midpoint) in enumerate(zip(prices, canonical, strict=True)):
        if price != midpoint:
            sentence = (
                f"zone {zone}, slot {slot} is priced at {price} ticks; the canonical price is {midpoint}"
            )
            raise RuleBroken("E6", sentence, zone=zone, slot=slot)


def _check_volume(volumes: Volumes) -> None:
    """[E7] No trade that costs nobody anything is withheld."""
    for (zone, slot, side), sell in volumes.items():
        buy = volumes.get((zone, slot, "buy"))
        if side == "sell" and buy and sell.filled < sell.quantity and buy.filled < buy.quantity:
            sentence = f"in zone {zone}, slot {slot} both sellers and buyers at the price are left unfilled"
            raise RuleBroken("E7", sentence, zone=zone, slot=slot)


# ---------------------------------------------------------------------------------------------------
# Sums and shapes
# ---------------------------------------------------------------------------------------------------


def _welfare(auction: Auction, fills: Table, flows: Table) -> int:
    """Buyers' value - sellers' cost - network fees, money units."""
    value = -sum(
        step.price * fill
        for bid, bid_fills in zip(auction.bids, fills, strict=True)
        for step, fill in zip(bid.steps, bid_fills, strict=True)
    )
    carried = [sum(map(abs, row)) for row in flows]
    fees = sum(auction.grid.lines[zone].fee * carried[zone] for zone in range(1, auction.grid.zones))
    return value - fees


def _require_table(auction: Auction, name: str, table: Table) -> None:
    zones, slots = auction.grid.zones, auction.slots
    if len(table) != zones or any(len(row) != slots for row in table):
        raise ValueError(f"{name} must be {zones} rows, one per zone, of {slots} entries, one per slot")
