"""The day in words: the sentences and table rows of the report and of the terminal."""

from typing import NamedTuple

import numpy as np

from clearwatt.community.devices import EFFICIENCY_PERCENT, WEAR_PER_KWH
from clearwatt.community.indicators import (
    bills,
    costs,
    gas_bill,
    gas_cost,
    imbalance,
    line_use,
    mean_prices,
    measured_flows,
    recheck,
    self_use,
    storage,
    trading_income,
    volumes,
)
from clearwatt.community.outcome import Check, DayOutcome
from clearwatt.community.scenario import SLOT_SECONDS, STAY_SLOTS
from clearwatt.grid import NO_LIMIT
from clearwatt.units import Money, currency, per_kwh, ticks_from_per_kwh

MINUS = "\N{MINUS SIGN}"


class Tile(NamedTuple):
    """One key figure: what it is, its value, and what it means or compares with."""

    label: str
    value: str
    note: str


def headline(outcome: DayOutcome) -> str:
    """The day in one sentence."""
    saving = sum(bill.saving for bill in bills(outcome))
    amount = f"{money(outcome, abs(saving))} {'less' if saving >= 0 else 'more'}"
    return f"{len(outcome.members)} members paid {amount} for their day than with the retailer alone"


def lead(outcome: DayOutcome) -> str:
    """The day in a short paragraph."""
    every, traded, own = bills(outcome), volumes(outcome), self_use(outcome)
    paid, retail = sum(bill.with_market for bill in every), sum(bill.without_market for bill in every)
    local, imported = int(traded.local.sum()), int(traded.imported.sum())
    return (
        f"On {long_date(outcome)} they traded {kwh(local)} among themselves, "
        f"{percent(local, local + imported)} of all they bought on the market, and paid "
        f"{money(outcome, paid)} in all instead of {money(outcome, retail)}. "
        "Shared at the moment it was generated, their own energy could cover "
        f"{percent(own.pooled, own.consumption)} of what they used, "
        f"against {percent(own.alone, own.consumption)} with each on its own.{_lead_devices(outcome)}"
    )


def _lead_devices(outcome: DayOutcome) -> str:
    if not outcome.devices:
        return ""
    cost = costs(outcome)
    return (
        f" Sharing saved {percent(cost.retail - cost.unmanaged, cost.retail)} of the retail bill; "
        f"with batteries and cars that trade by plan it was {percent(cost.retail - cost.flexible, cost.retail)}."
    )


def costs_caption(outcome: DayOutcome) -> str:
    """Of which day the costs are, and against what."""
    return (
        f"All {len(outcome.members)} members on {long_date(outcome)}, at this day's retail tariff. "
        "In the first three ways batteries rest and cars charge as soon as they come."
    )


def cost_rows(outcome: DayOutcome) -> list[tuple[str, str, str, str]]:
    """Way of being supplied, what all members paid, what they saved, and what it means."""
    cost = costs(outcome)
    rows = [
        ("retailer alone", cost.retail, "everybody buys and sells at the tariff"),
        (
            "retailer, one meter",
            cost.pooled,
            "sharing without a forecast's error: the most it can save by itself",
        ),
        ("market", cost.unmanaged, "the same bids and forecasts, played off chain"),
    ]
    if outcome.devices:
        how = f"as it was; {money(outcome, cost.wear)} of assumed wear not counted"
        rows.append(("market with batteries and cars", cost.flexible, how))
    else:
        rows[-1] = ("market", cost.flexible, "as it was")
    return [
        (
            way,
            money(outcome, paid),
            percent(cost.retail - paid, cost.retail) if cost.retail > 0 else "none",
            how,
        )
        for way, paid, how in rows
    ]


def device_rows(outcome: DayOutcome) -> list[tuple[str, ...]]:
    """Member, device, energy charged and discharged, its trades, its wear, and its member's bill without and with."""
    bill_of = {bill.member.name: bill for bill in bills(outcome)}
    rows = []
    for device in outcome.devices:
        bill = bill_of[device.member]
        drawn, injected = (int(np.maximum(sign * device.delivered, 0).sum()) for sign in (-1, 1))
        wear = Money(injected * ticks_from_per_kwh(WEAR_PER_KWH))
        size = f"{device.power_w / 1000:g} kW"
        battery = device.kind == "battery"
        rows.append(
            (
                device.member,
                f"battery, {device.energy_wh / 1000:g} kWh, {size}" if battery else f"car, {size}",
                kwh(drawn),
                kwh(injected) if battery else "",
                money(outcome, trading_income(outcome, device)),
                money(outcome, wear) if battery else "",
                money(outcome, bill.unmanaged),
                money(outcome, bill.with_market),
            )
        )
    return rows


def all_checks(outcome: DayOutcome) -> tuple[Check, ...]:
    """What the simulation checked on chain, and what the outcome itself shows."""
    return (*outcome.checks, *recheck(outcome))


def tiles(outcome: DayOutcome) -> tuple[Tile, ...]:
    """The key figures, most telling first."""
    devices = _device_tiles(outcome) if outcome.devices else ()
    return (*_money_tiles(outcome), *devices, *_energy_tiles(outcome), *_chain_tiles(outcome))


def captions(outcome: DayOutcome) -> dict[str, str]:
    """One sentence or two below each chart's title, by the chart's name."""
    off, every, gas = imbalance(outcome), bills(outcome), gas_bill(outcome)
    low, middle, high = (
        int(np.percentile([bill.saving for bill in every], part, method="nearest")) for part in (25, 50, 75)
    )
    left = int(np.abs(off.surplus - off.shortage).sum())
    return _device_captions(outcome) | {
        "prices": _price_caption(outcome),
        "energy": "Contracted before delivery. Above zero what members bought, from each other first; "
        "below zero what they sold to the retailer.",
        "savings": "Against the retailer's prices, with nothing flexible. Half of the members saved more than "
        f"{money(outcome, middle)}; the middle half saved {money(outcome, low)} to {money(outcome, high)}.",
        "deviations": "Readings against positions. Members' deviations came to "
        f"{kwh(off.surplus.sum() + off.shortage.sum())}; after cancelling each other out, "
        f"{kwh(left)} were left over for the balancing party.",
        "lines": "How much of each line's limit the measured flow took, in either direction.",
        "tokens": "Issued for metered injections only. One token is 1 Wh; retiring one is final.",
        "gas": f"{gas.total / 1e6:,.1f} million gas in all, spread over {gas.steps:,} bid steps: "
        f"{gas.total / max(gas.members, 1):,.0f} per member and day. Members only sign their bids; one account posts "
        "them for all, many to a transaction.",
    }


def _device_captions(outcome: DayOutcome) -> dict[str, str]:
    kept = storage(outcome)
    found = {}
    if outcome.devices:
        found["schedule"] = (
            "Planned anew before every auction by what is in the batteries, what the cars that have come still "
            "need, and how everybody else can be expected to bid; bought and sold on the market like all else."
        )
    if any(device.kind == "battery" for device in outcome.devices):
        found["levels"] = (
            f"{kwh(kept.charged)} charged and {kwh(kept.discharged)} discharged at the meters. Every battery began the "
            "day half full and had to end it no emptier."
        )
    return found


def line_rows(outcome: DayOutcome) -> list[tuple[str, str, str, str]]:
    """Name, limit, contracted peak and measured peak of every line."""
    contracted = line_use(outcome, outcome.flows).max(axis=1)
    measured = line_use(outcome, measured_flows(outcome)).max(axis=1)
    return [
        (
            outcome.zone_names[zone],
            _limit(line.export_limit, line.import_limit),
            percent(contracted[zone], 1),
            percent(measured[zone], 1),
        )
        for zone, line in enumerate(outcome.grid.lines)
        if zone
    ]


def forecast_rows(outcome: DayOutcome) -> list[tuple[str, str, str, str, str]]:
    """Method, scope and the three scores of every forecast."""
    return [
        (
            method,
            scope,
            f"{scores.mae_wh:,.0f}",
            f"{scores.bias_wh:+,.0f}".replace("-", MINUS),
            "none" if scores.nrmse is None else f"{scores.nrmse:.2f}",
        )
        for method, scope, scores in outcome.forecast_scores
    ]


def run_rows(outcome: DayOutcome) -> list[tuple[str, str]]:
    """What it takes to know where the figures come from."""
    auctions = outcome.slots // outcome.slots_per_auction
    solar = sum(member.source != "none" for member in outcome.members)
    symbol = outcome.currency
    return [
        (
            "Members",
            f"{len(outcome.members)}, {solar} of them with generation, in {outcome.grid.zones} zones",
        ),
        (
            "Auctions",
            f"{auctions} of {outcome.slots_per_auction} slots, {outcome.slot_seconds // 60} minutes each",
        ),
        ("Network", f"{outcome.network}, blocks {outcome.first_block:,} to {outcome.last_block:,}"),
        ("Seed", str(outcome.seed)),
        (
            "Assumed, not measured",
            f"gas at {outcome.gas_price_gwei:g} gwei, ether at {symbol}{outcome.currency_per_ether:,.0f}",
        ),
        *_device_run_rows(outcome),
        ("Network's line income", money(outcome, outcome.network_income)),
        ("Time", "standard time all year, without daylight saving"),
    ]


def _device_run_rows(outcome: DayOutcome) -> list[tuple[str, str]]:
    if not outcome.devices:
        return []
    batteries = sum(device.kind == "battery" for device in outcome.devices)
    symbol, kinds = outcome.currency, f"{batteries} batteries, {len(outcome.devices) - batteries} cars"
    assumed = (
        f"batteries: {EFFICIENCY_PERCENT}% efficient each way, {symbol}{WEAR_PER_KWH:.2f} of wear per kWh discharged, "
        f"half full at midnight; a car stays for {STAY_SLOTS * SLOT_SECONDS // 3600} hours, or until it charges "
        "again or the day ends"
    )
    plans = "none was needed"
    if outcome.plan_gap is not None:
        plans = f"{', '.join(outcome.planned_by)}; largest relative gap {outcome.plan_gap:.0e}"
    return [("Batteries and cars", kinds), ("Assumed of them", assumed), ("Plans by", plans)]


def checks_caption(checks: tuple[Check, ...]) -> str:
    """How many checks hold."""
    failed = sum(not check.ok for check in checks)
    if not failed:
        return f"All {len(checks)} checks hold, exactly and without a tolerance."
    return f"{failed} of {len(checks)} checks do not hold: do not rely on this day's figures."


def money(outcome: DayOutcome, amount: int, digits: int = 2) -> str:
    """Money units as an amount, like "€12.30"."""
    return price(outcome, currency(amount), digits)


def price(outcome: DayOutcome, amount: float, digits: int = 2) -> str:
    """An amount of currency, with a real minus sign before the symbol."""
    text = f"{abs(amount):,.{digits}f}"
    sign = MINUS if amount < 0 and any(digit in text for digit in "123456789") else ""
    return f"{sign}{outcome.currency}{text}"


def kwh(energy: int) -> str:
    """Wh as kWh."""
    value = int(energy) / 1000
    return f"{value:,.1f} kWh" if 0 < abs(value) < 100 else f"{value:,.0f} kWh"


def percent(part: float, whole: float) -> str:
    """A share in percent; "none" of nothing."""
    return f"{100 * part / whole:.1f}%".replace("-", MINUS) if whole else "none"


def long_date(outcome: DayOutcome) -> str:
    """A date as people write it, like "21 June 2016"."""
    return f"{outcome.day.day} {outcome.day:%B %Y}"


def _money_tiles(outcome: DayOutcome) -> tuple[Tile, ...]:
    every = bills(outcome)
    saving, retail = sum(bill.saving for bill in every), sum(bill.without_market for bill in every)
    better, worse = sum(bill.saving > 0 for bill in every), sum(bill.saving < 0 for bill in every)
    paid = f"{money(outcome, retail - saving)} instead of {money(outcome, retail)}"
    relative = f"{percent(saving, retail)}: {paid}" if retail > 0 else f"it paid {paid}"
    return (
        Tile("Saved by the community", money(outcome, saving), relative),
        Tile("Members better off", f"{better} of {len(every)}", f"{worse} worse off"),
    )


def _device_tiles(outcome: DayOutcome) -> tuple[Tile, ...]:
    cost, kept, own = costs(outcome), storage(outcome), self_use(outcome)
    alone, together = (
        percent(cost.retail - paid, cost.retail) if cost.retail > 0 else "none"
        for paid in (cost.pooled, cost.flexible)
    )
    earned = sum(trading_income(outcome, device) for device in outcome.devices if device.kind == "battery")
    return (
        Tile(
            "Saved by batteries and cars",
            money(outcome, cost.unmanaged - cost.flexible),
            f"{together} of the retail bill in all; sharing alone could save {alone}",
        ),
        Tile(
            "Earned by the batteries",
            money(outcome, earned),
            f"sold less bought; assumed wear of {money(outcome, cost.wear)} not counted",
        ),
        Tile(
            "Through the batteries",
            kwh(kept.discharged),
            f"self-sufficiency {percent(own.consumption - own.imported, own.consumption)} by the meters",
        ),
    )


def _energy_tiles(outcome: DayOutcome) -> tuple[Tile, ...]:
    traded, own, off = volumes(outcome), self_use(outcome), imbalance(outcome)
    use = line_use(outcome, measured_flows(outcome)).max(axis=1)
    return (
        Tile(
            "Traded between members",
            kwh(traded.local.sum()),
            f"{kwh(traded.imported.sum())} bought from and {kwh(traded.exported.sum())} sold to the retailer",
        ),
        Tile(
            "Self-sufficiency when shared",
            percent(own.pooled, own.consumption),
            f"{percent(own.alone, own.consumption)} with each member on its own",
        ),
        Tile(
            "Self-consumption when shared",
            percent(own.pooled, own.generation),
            f"{percent(own.alone, own.generation)} with each member on its own",
        ),
        _price_tile(outcome),
        Tile(
            "Deviations from contracts",
            kwh(off.surplus.sum() + off.shortage.sum()),
            f"cost members {money(outcome, int(off.cost.sum()))}",
        ),
        Tile("Busiest line", percent(use.max(), 1), f"of its limit: {outcome.zone_names[int(use.argmax())]}")
        if len(use) > 1
        else Tile("Lines", "none", "one zone, one price"),
    )


def _price_tile(outcome: DayOutcome) -> Tile:
    means = [mean for mean in mean_prices(outcome) if mean is not None]
    if not means:
        return Tile("Price per kWh", "none", "nothing was traded")
    low, high = price(outcome, per_kwh(min(means)), 3), price(outcome, per_kwh(max(means)), 3)
    return Tile("Price per kWh", f"{low} to {high}", "means of the slots, weighted by volume")


def _chain_tiles(outcome: DayOutcome) -> tuple[Tile, ...]:
    gas, checks = gas_bill(outcome), all_checks(outcome)
    each = gas.total / max(gas.members, 1)
    cost = gas_cost(outcome, each)
    assumed = f"{each:,.0f} gas a day, at {outcome.gas_price_gwei:g} gwei"
    issued, retired = sum(outcome.tokens_issued.values()), sum(outcome.tokens_retired.values())
    return (
        Tile("Energy tokens issued", kwh(issued), f"{kwh(retired)} retired for members' own use"),
        Tile(
            "Gas per bid step", f"{gas.all_in / max(gas.steps, 1):,.0f}", "bidding, clearing and settlement"
        ),
        Tile("Chain cost per member", price(outcome, cost, 3), assumed),
        Tile(
            "Checks that hold", f"{sum(check.ok for check in checks)} of {len(checks)}", "listed at the end"
        ),
    )


def _price_caption(outcome: DayOutcome) -> str:
    split = int((outcome.prices != outcome.prices[0]).any(axis=0).sum())
    if not split:
        return "One price for all zones in every slot: neither a full line nor a fee set them apart."
    return f"Zone prices differ in {split} of {outcome.slots} slots, set apart by a full line or its fee."


def _limit(export_limit: int, import_limit: int) -> str:
    shown = [
        "none" if limit >= NO_LIMIT else f"{limit / 1000:,.1f}" for limit in (export_limit, import_limit)
    ]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} out, {shown[1]} in"
