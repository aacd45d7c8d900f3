"""The figures by which a community judges its day: pure functions of a `DayOutcome`.

Energy, money and gas stay exact integers; a ratio becomes a float only where it is shown.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass

import numpy as np

from clearwatt.community.device_checks import device_checks
from clearwatt.community.devices import MILLI, WEAR_PER_KWH, DeviceDay
from clearwatt.community.outcome import Check, DayOutcome, GasKind, MemberInfo
from clearwatt.community.tariff import Tariff
from clearwatt.grid import NO_LIMIT
from clearwatt.units import Money, Tick, ticks_from_per_kwh

ALL_IN: tuple[GasKind, ...] = ("bid", "clear", "settle")
"""What a step costs from bid to money: the measure by which market contracts are compared."""


@dataclass(frozen=True)
class Bill:
    """A member's day: what it pays with the market, and what it would pay the retailer with nothing flexible.

    unmanaged: what it would pay with the market, had batteries rested and cars charged as soon as they came.
    Positive = it pays, negative = it is paid.
    """

    member: MemberInfo
    with_market: Money
    without_market: Money
    unmanaged: Money

    @property
    def saving(self) -> Money:
        """Money the member is better off by, negative = worse off."""
        return Money(self.without_market - self.with_market)


@dataclass(frozen=True)
class Costs:
    """What the whole day costs all members together, by how they are supplied.

    retail: each by the retailer alone. pooled: by the retailer as if behind one meter, the most that sharing alone can
    save. unmanaged: by the market. All three with batteries at rest and cars that charge as soon as they come.
    flexible: by the market with batteries and cars, as it was. wear: what that cost the batteries beyond it, assumed.
    """

    retail: Money
    pooled: Money
    unmanaged: Money
    flexible: Money
    wear: Money


@dataclass(frozen=True)
class Storage:
    """Energy through the batteries at their meters, Wh >= 0, and what they gained in store from first slot to last."""

    charged: int
    discharged: int
    gained: int


@dataclass(frozen=True)
class SelfUse:
    """How much of its own generation the community uses, Wh.

    alone: each member's own generation used behind its own meter, summed. pooled: the most that all of them
    together can use at the same time. imported: what their meters together drew, batteries and all.
    """

    consumption: int
    generation: int
    alone: int
    pooled: int
    imported: int


@dataclass(frozen=True)
class Volumes:
    """Contracted energy, int64[S] Wh >= 0: between members, bought from the retailer, sold to it."""

    local: np.ndarray
    imported: np.ndarray
    exported: np.ndarray


@dataclass(frozen=True)
class Imbalance:
    """How readings differ from positions, members only.

    surplus, shortage: int64[S] Wh >= 0, summed over the members.
    cost: int64[S] money, what the members lose by it against the zone price, in both directions.
    """

    surplus: np.ndarray
    shortage: np.ndarray
    cost: np.ndarray


@dataclass(frozen=True)
class GasBill:
    """Gas of the whole day.

    by_kind: kind -> (transactions, gas, largest transaction). steps: bid steps of the day.
    """

    by_kind: dict[GasKind, tuple[int, int, int]]
    steps: int
    members: int

    @property
    def total(self) -> int:
        """All gas of the day."""
        return sum(gas for _, gas, _ in self.by_kind.values())

    @property
    def all_in(self) -> int:
        """Gas of bidding, clearing and settling."""
        return sum(gas for kind, (_, gas, _) in self.by_kind.items() if kind in ALL_IN)


def bills(outcome: DayOutcome) -> tuple[Bill, ...]:
    """Every member's bill, in the order of the members; the retailer has none."""
    retail = retail_cost(outcome.tariff, outcome.stack(outcome.unmanaged))
    return tuple(
        Bill(
            member,
            Money(-outcome.settled_money[member.address]),
            Money(without),
            Money(-outcome.unmanaged_money[member.address]),
        )
        for member, without in zip(outcome.members, retail.tolist(), strict=True)
    )


def retail_cost(tariff: Tariff, net: np.ndarray) -> np.ndarray:
    """What a retailer charges for net energy int64[..., S] Wh, positive = injection: int64[...] money."""
    prices = np.where(net < 0, np.array(tariff.import_price), np.array(tariff.export_price))
    return -(net * prices).sum(axis=-1)


def costs(outcome: DayOutcome) -> Costs:
    """The day's cost in each way of supplying the members."""
    every, together = bills(outcome), outcome.stack(outcome.unmanaged).sum(axis=0)
    wear = storage(outcome).discharged * ticks_from_per_kwh(WEAR_PER_KWH)
    return Costs(
        retail=Money(sum(bill.without_market for bill in every)),
        pooled=Money(int(retail_cost(outcome.tariff, together))),
        unmanaged=Money(sum(bill.unmanaged for bill in every)),
        flexible=Money(sum(bill.with_market for bill in every)),
        wear=Money(wear),
    )


def storage(outcome: DayOutcome) -> Storage:
    """All batteries together."""
    energy = outcome.batteries()
    gained = sum(int(device.levels[-1] - device.levels[0]) for device in _batteries(outcome))
    return Storage(int(np.maximum(-energy, 0).sum()), int(np.maximum(energy, 0).sum()), gained // MILLI)


def trading_income(outcome: DayOutcome, device: DeviceDay) -> Money:
    """What a device sold less what it bought, at its zone's prices."""
    return Money(int((device.contracted * outcome.prices[device.zone]).sum()))


def car_charging(outcome: DayOutcome) -> np.ndarray:
    """What all cars draw: int64[S] Wh <= 0."""
    return sum((car.delivered for car in _cars(outcome)), np.zeros(outcome.slots, dtype=np.int64))


def _batteries(outcome: DayOutcome) -> list[DeviceDay]:
    return [device for device in outcome.devices if device.kind == "battery"]


def _cars(outcome: DayOutcome) -> list[DeviceDay]:
    return [device for device in outcome.devices if device.kind == "car"]


def self_use(outcome: DayOutcome) -> SelfUse:
    """Self-sufficiency is use over consumption, self-consumption use over generation; alone and pooled."""
    load, generation = outcome.stack(outcome.consumption), outcome.stack(outcome.generation)
    pooled = np.minimum(load.sum(axis=0), generation.sum(axis=0))
    alone = np.minimum(load, generation)
    imported = np.maximum(-outcome.stack(outcome.readings).sum(axis=0), 0)
    totals = (load, generation, alone, pooled, imported)
    return SelfUse(*(int(part.sum()) for part in totals))


def volumes(outcome: DayOutcome) -> Volumes:
    """Contracted volumes: what members sell meets what members buy before the retailer comes in."""
    positions = outcome.stack(outcome.positions)
    sold = np.maximum(positions, 0).sum(axis=0)
    bought = np.maximum(-positions, 0).sum(axis=0)
    local = np.minimum(sold, bought)
    return Volumes(local, bought - local, sold - local)


def mean_prices(outcome: DayOutcome) -> tuple[Tick | None, ...]:
    """Members' volume-weighted price per slot, to the nearest tick; None where nothing was contracted."""
    volume = np.abs(outcome.stack(outcome.positions))
    money = (volume * _member_prices(outcome, outcome.prices)).sum(axis=0)
    pairs = zip(money.tolist(), volume.sum(axis=0).tolist(), strict=True)
    return tuple(Tick((2 * paid + energy) // (2 * energy)) if energy else None for paid, energy in pairs)


def imbalance(outcome: DayOutcome) -> Imbalance:
    """Deviations of all members and their cost, per slot."""
    deviation = outcome.stack(outcome.readings) - outcome.stack(outcome.positions)
    over, under = np.maximum(deviation, 0), np.maximum(-deviation, 0)
    price, surplus, shortage = (
        _member_prices(outcome, prices) for prices in (outcome.prices, outcome.surplus, outcome.shortage)
    )
    cost = over * (price - surplus) + under * (shortage - price)
    return Imbalance(over.sum(axis=0), under.sum(axis=0), cost.sum(axis=0))


def measured_flows(outcome: DayOutcome) -> np.ndarray:
    """Flow on each line by the meters: int64[Z, S] Wh towards the parent."""
    return outcome.grid.flows(outcome.injections(outcome.stack(outcome.readings)))


def line_use(outcome: DayOutcome, flows: np.ndarray) -> np.ndarray:
    """Share of each line's limit that a flow takes in its direction: float[Z, S]; 0 without a limit."""
    use = np.zeros(flows.shape)
    for zone, line in enumerate(outcome.grid.lines):
        limits = np.where(flows[zone] >= 0, line.export_limit, line.import_limit)
        bounded = (limits > 0) & (limits < NO_LIMIT)
        np.divide(np.abs(flows[zone]), limits, out=use[zone], where=bounded)
    return use


def gas_bill(outcome: DayOutcome) -> GasBill:
    """The day's gas by kind of transaction."""
    used: dict[GasKind, list[int]] = defaultdict(list)
    for use in outcome.gas:
        used[use.kind].append(use.gas)
    by_kind = {kind: (len(gas), sum(gas), max(gas)) for kind, gas in used.items()}
    steps = sum(use.steps for use in outcome.gas if use.kind == "bid")
    return GasBill(by_kind, steps, len(outcome.members))


def gas_cost(outcome: DayOutcome, gas: float) -> float:
    """What gas costs in currency at the outcome's assumed prices."""
    return gas * outcome.gas_price_gwei * 1e-9 * outcome.currency_per_ether


def recheck(outcome: DayOutcome) -> tuple[Check, ...]:
    """What must hold between the parts of any outcome, computed anew from them."""
    checks = (*_money_checks(outcome), *_energy_checks(outcome), _tokens_backed(outcome))
    return (*checks, *device_checks(outcome.devices))


def figures(outcome: DayOutcome) -> dict[str, object]:
    """Everything the report shows, for machines: plain JSON types, units in the names.

    Money is in units of 1e-8 currency, prices in ticks of 0.01 currency/MWh.
    """
    own = self_use(outcome)
    return {
        "day": outcome.day.isoformat(),
        "run": _run(outcome),
        "bills": _bill_figures(outcome),
        "costs": asdict(costs(outcome)),
        "devices": [_device_figures(outcome, device) for device in outcome.devices],
        "plans": {"worst_relative_gap": outcome.plan_gap, "solvers": list(outcome.planned_by)},
        "self_use_wh": asdict(own),
        "self_sufficiency": {
            "alone": share(own.alone, own.consumption),
            "pooled": share(own.pooled, own.consumption),
            "measured": share(own.consumption - own.imported, own.consumption),
        },
        "self_consumption": {
            "alone": share(own.alone, own.generation),
            "pooled": share(own.pooled, own.generation),
        },
        "volume_wh": _series(volumes(outcome)),
        "price_ticks": {
            "by_zone": outcome.prices.tolist(),
            "volume_weighted_mean": list(mean_prices(outcome)),
        },
        "imbalance": _series(imbalance(outcome)),
        "lines": _line_figures(outcome),
        "network_income": int(outcome.network_income),
        "tokens_wh": {"issued": dict(outcome.tokens_issued), "retired": dict(outcome.tokens_retired)},
        "gas": _gas_figures(outcome),
        "forecasts": [
            {"method": method, "scope": scope, **asdict(scores)}
            for method, scope, scores in outcome.forecast_scores
        ],
        "checks": [check._asdict() for check in (*outcome.checks, *recheck(outcome))],
    }


def share(part: int, whole: int) -> float | None:
    """A ratio for people to read, to four digits; None of nothing."""
    return round(part / whole, 4) if whole else None


def _member_prices(outcome: DayOutcome, prices: np.ndarray) -> np.ndarray:
    """Prices by zone as prices by member: int64[Z, S] to int64[members, S]."""
    return prices[[member.zone for member in outcome.members]]


def _money_checks(outcome: DayOutcome) -> tuple[Check, ...]:
    left = sum(outcome.settled_money.values()) + outcome.network_income
    parents = [max(parent, 0) for parent in outcome.grid.parents]
    rent = int((outcome.flows * (outcome.prices[parents] - outcome.prices)).sum())
    unordered = (outcome.surplus > outcome.prices) | (outcome.prices > outcome.shortage)
    return (
        Check("No money is made or lost", left == 0, f"all accounts together: {left} units of 1e-8"),
        Check(
            "The network earns fees and congestion rent, nothing else",
            rent == outcome.network_income,
            f"{outcome.network_income} units received, {rent} by flows and prices",
        ),
        Check(
            "Zone prices lie between surplus and shortage price",
            not unordered.any(),
            f"{unordered.sum()} of {unordered.size} zones and slots out of order",
        ),
    )


def _energy_checks(outcome: DayOutcome) -> tuple[Check, ...]:
    positions, readings = outcome.stack(outcome.positions), outcome.stack(outcome.readings)
    left = int(np.abs(positions.sum(axis=0) + outcome.positions[outcome.retailer]).sum())
    apart = int(np.abs(outcome.grid.flows(outcome.injections(positions)) - outcome.flows).sum())
    beyond = sum(
        int(((flow > line.export_limit) | (-flow > line.import_limit)).sum())
        for flow, line in zip(outcome.flows, outcome.grid.lines, strict=True)
    )
    behind = outcome.stack(outcome.generation) - outcome.stack(outcome.consumption) + outcome.batteries()
    differing = int((behind != readings).sum())
    return (
        Check("Contracted energy balances in every slot", left == 0, f"{left} Wh left over"),
        Check("Flows on the lines follow from the positions", apart == 0, f"{apart} Wh apart"),
        Check("Contracted flows respect the lines' limits", beyond == 0, f"{beyond} flows beyond a limit"),
        Check(
            "Readings are generation minus consumption plus what batteries inject",
            differing == 0,
            f"{differing} of {readings.size} readings differ",
        ),
    )


def _tokens_backed(outcome: DayOutcome) -> Check:
    """Per source: retired <= issued <= what meters say was injected."""
    injected: dict[str, int] = defaultdict(int)
    for member in outcome.members:
        injected[member.source] += int(np.maximum(outcome.readings[member.address], 0).sum())
    backed = all(
        outcome.tokens_retired.get(source, 0) <= issued <= injected[source]
        for source, issued in outcome.tokens_issued.items()
    )
    injected.pop("none", None)  # what a battery gives back has had its token
    issued, metered = sum(outcome.tokens_issued.values()), sum(injected.values())
    return Check(
        "No token without a metered injection", backed, f"{issued} Wh in tokens, {metered} Wh injected"
    )


def _device_figures(outcome: DayOutcome, device: DeviceDay) -> dict[str, object]:
    return {
        "name": device.name,
        "member": device.member,
        "kind": device.kind,
        "power_w": device.power_w,
        "energy_wh": device.energy_wh,
        "traded": trading_income(outcome, device),
        "planned_wh": device.planned.tolist(),
        "contracted_wh": device.contracted.tolist(),
        "delivered_wh": device.delivered.tolist(),
        "levels_thousandth_wh": device.levels.tolist(),
        "sessions": [session._asdict() for session in device.sessions],
    }


def _run(outcome: DayOutcome) -> dict[str, object]:
    return {
        "network": outcome.network,
        "blocks": [outcome.first_block, outcome.last_block],
        "seed": outcome.seed,
        "members": len(outcome.members),
        "zones": outcome.grid.zones,
        "slots_per_auction": outcome.slots_per_auction,
        "slot_seconds": outcome.slot_seconds,
        "gas_price_gwei": outcome.gas_price_gwei,
        "currency_per_ether": outcome.currency_per_ether,
        "currency": outcome.currency,
    }


def _bill_figures(outcome: DayOutcome) -> dict[str, object]:
    every = bills(outcome)
    return {
        "with_market": sum(bill.with_market for bill in every),
        "without_market": sum(bill.without_market for bill in every),
        "saving": sum(bill.saving for bill in every),
        "better_off": sum(bill.saving > 0 for bill in every),
        "worse_off": sum(bill.saving < 0 for bill in every),
        "members": [
            {
                "name": bill.member.name,
                "zone": bill.member.zone,
                "source": bill.member.source,
                "with_market": bill.with_market,
                "without_market": bill.without_market,
                "unmanaged": bill.unmanaged,
            }
            for bill in every
        ],
    }


def _series(indicator: Volumes | Imbalance) -> dict[str, object]:
    """Each series with its sum."""
    return {
        name: {"sum": int(series.sum()), "by_slot": series.tolist()}
        for name, series in vars(indicator).items()
    }


def _line_figures(outcome: DayOutcome) -> list[dict[str, object]]:
    contracted = line_use(outcome, outcome.flows).max(axis=1)
    measured = line_use(outcome, measured_flows(outcome)).max(axis=1)
    return [
        {
            "zone": zone,
            "name": outcome.zone_names[zone],
            "export_limit_wh": line.export_limit,
            "import_limit_wh": line.import_limit,
            "contracted_peak_use": round(float(contracted[zone]), 4),
            "measured_peak_use": round(float(measured[zone]), 4),
        }
        for zone, line in enumerate(outcome.grid.lines)
        if zone
    ]


def _gas_figures(outcome: DayOutcome) -> dict[str, object]:
    gas = gas_bill(outcome)
    return {
        "total": gas.total,
        "steps": gas.steps,
        "all_in_per_step": share(gas.all_in, gas.steps),
        "per_member_and_day": share(gas.total, gas.members),
        "cost_per_member_and_day": gas_cost(outcome, gas.total / gas.members) if gas.members else None,
        "by_kind": {
            kind: {"transactions": count, "gas": used, "largest": largest, "per_step": share(used, gas.steps)}
            for kind, (count, used, largest) in gas.by_kind.items()
        },
    }
