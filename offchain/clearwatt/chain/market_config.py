"""The YAML file a market is deployed from.

See `deployments/market.example.yaml`, which explains every key.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from eth_utils import is_address, to_checksum_address

from clearwatt.chain.deployment import MOST_RECORDS, MarketConfig, Schedule
from clearwatt.clearing.files import grid_from_json
from clearwatt.documents import FileError, array_at, integer_at, object_at, shown
from clearwatt.units import INT24_MAX, INT24_MIN, MONEY_PER_CURRENCY

DAY_SECONDS = 86_400
TIMES = {
    "slot_seconds": 900,
    "slots": 4,
    "horizon": 86_400,
    "gate_lead": 900,
    "clearing_window": 900,
    "metering_window": 3_600,
    "substitute_window": 86_400,
}
LIMITS = {"min_quantity": (10, 2**31 - 1), "max_steps": (0, 2**16 - 1), "max_members": (0, 2**16 - 1)}
"""Default and most; 0 where the default follows from the rest."""
DISPUTES = {"window": 3_600, "decision_window": 86_400, "bond": 20}
SEALED = {"reveal_window": 300, "deposit": 10}
MOST_SECONDS = 2**31
MOST_CURRENCY = 10**9
PRICES = {"min": -50_000, "max": 400_000, "imbalance_margin": 10_000}


def read_market_config(path: Path, owner: str, now: int) -> MarketConfig:
    """The configuration in a YAML file.

    owner: who owns the market unless the file says otherwise. now: Unix time, for ``genesis: next midnight``.
    Raises FileError with what is wrong and where.
    """
    try:
        document = _load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise FileError(f"{path} is not YAML of plain values: {' '.join(str(error).split())}") from None
    try:
        return config_from_document(document, owner, now)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None


class _Loader(yaml.SafeLoader):
    """YAML's reader, but each key once: of two the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [str(key.value) for key, _ in node.value]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"the key {shown(twice[0])} appears twice in one object")
        return super().construct_mapping(node, deep)


def _load(text: str) -> Any:
    """The YAML document as JSON would have it, times as text. Raises ValueError, TypeError for anything else."""
    return json.loads(json.dumps(yaml.load(text, _Loader), default=_as_text))


def _as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} has no meaning here")


def config_from_document(document: Any, owner: str, now: int) -> MarketConfig:
    """As `read_market_config`, from the file's content as plain values."""
    top = object_at(
        document,
        "the market",
        ("accounts", "oracles", "zones"),
        ("schedule", "prices", "limits", "disputes", "sealed", "owner_delay", "ring_size", "collateral"),
    )
    accounts = object_at(top["accounts"], "accounts", ("balancing_party", "network"), ("owner",))
    oracles = object_at(top["oracles"], "oracles", ("signers", "threshold"))
    signers = _signers(array_at(oracles["signers"], "oracles: signers", "a list of addresses"))
    prices = _integers(top.get("prices", {}), "prices", PRICES, INT24_MIN, INT24_MAX)
    if prices["min"] > prices["max"]:
        raise FileError(f"prices: min {prices['min']} is above max {prices['max']}")
    if prices["imbalance_margin"] < 0:
        raise FileError(f"prices: imbalance_margin {prices['imbalance_margin']} is negative")
    collateral = object_at(top.get("collateral", {}), "collateral", (), ("token", "decimals"))
    disputes = _disputes(top.get("disputes", {}))
    sealed = _sealed(top["sealed"]) if "sealed" in top else None
    schedule = replace(
        _schedule(top.get("schedule", {}), now),
        reveal_window=sealed["reveal_window"] if sealed else 0,
        dispute_window=disputes["window"],
        decision_window=disputes["decision_window"],
    )
    return MarketConfig(
        schedule=schedule,
        grid=grid_from_json(top["zones"]),
        owner=_address(accounts.get("owner", owner), "accounts: owner"),
        balancing_party=_address(accounts["balancing_party"], "accounts: balancing_party"),
        network_account=_address(accounts["network"], "accounts: network"),
        signers=signers,
        threshold=integer_at(oracles["threshold"], "oracles: threshold", 1, len(signers)),
        **_limits(top.get("limits", {})),
        min_price=prices["min"],
        max_price=prices["max"],
        imbalance_margin=prices["imbalance_margin"],
        ring_size=_ring_size(top, schedule),
        seal_deposit=(sealed or SEALED)["deposit"] * MONEY_PER_CURRENCY,
        dispute_bond=disputes["bond"] * MONEY_PER_CURRENCY,
        owner_delay=_owner_delay(top, schedule),
        token=_token(collateral),
        token_decimals=integer_at(collateral.get("decimals", 6), "collateral: decimals", 0, 18),
    )


def _limits(value: Any) -> dict[str, int]:
    entries = object_at(value, "limits", (), LIMITS)
    return {
        name: integer_at(entries[name], f"limits: {name}", 1, most) if name in entries else default
        for name, (default, most) in LIMITS.items()
    }


def _disputes(value: Any) -> dict[str, int]:
    entries = _integers(value, "disputes", DISPUTES, 0, MOST_SECONDS)
    if entries["window"] < 1:
        raise FileError("disputes: window must be at least 1, or nobody could dispute a report")
    if entries["decision_window"] < 1:
        raise FileError("disputes: decision_window must be at least 1, or the owner could not decide")
    return entries | {"bond": _currency(entries["bond"], "disputes: bond")}


def _sealed(value: Any) -> dict[str, int]:
    entries = _integers(value, "sealed", SEALED, 0, MOST_SECONDS)
    if entries["reveal_window"] < 1:
        raise FileError(
            "sealed: reveal_window must be at least 1, or no bid could be opened; "
            "for a market with open bids leave `sealed` out"
        )
    return entries | {"deposit": _currency(entries["deposit"], "sealed: deposit")}


def _currency(value: int, place: str) -> int:
    return integer_at(value, place, 0, MOST_CURRENCY)


def _owner_delay(top: Mapping[str, Any], schedule: Schedule) -> int:
    if "owner_delay" not in top:
        return schedule.life
    delay = integer_at(top["owner_delay"], "owner_delay", 0, MOST_SECONDS)
    if delay < schedule.life:
        raise FileError(
            f"owner_delay {delay} is shorter than the {schedule.life} s an auction lives: "
            "a change could overtake a bid that was placed before it"
        )
    return delay


def _ring_size(top: Mapping[str, Any], schedule: Schedule) -> int:
    size = integer_at(top.get("ring_size", schedule.ample_ring), "ring_size", 1, MOST_RECORDS)
    if size < schedule.least_ring:
        raise FileError(
            f"ring_size {size} is too small: bids are taken {schedule.horizon} s ahead, "
            f"so a member needs at least {schedule.least_ring} records"
        )
    return size


def _signers(values: list[Any]) -> tuple[str, ...]:
    if not values:
        raise FileError("oracles: signers: nobody could sign")
    signers = tuple(_address(value, f"oracles: signers[{i}]") for i, value in enumerate(values))
    for i, signer in enumerate(signers):
        if signer in signers[:i]:
            raise FileError(f"oracles: signers[{i}] {signer} is named twice")
    return signers


def _schedule(value: Any, now: int) -> Schedule:
    entries = object_at(value, "schedule", (), ("genesis", *TIMES))
    times = _integers(
        {k: v for k, v in entries.items() if k != "genesis"}, "schedule", TIMES, 0, MOST_SECONDS
    )
    if not 1 <= times["slots"] <= 96:
        raise FileError(f"schedule: slots {times['slots']} is not between 1 and 96")
    for name in ("slot_seconds", "clearing_window"):
        if times[name] < 1:
            raise FileError(f"schedule: {name} must be at least 1")
    genesis = _genesis(entries.get("genesis", "next midnight"), now + times["gate_lead"])
    if genesis % times["slot_seconds"]:
        raise FileError(f"schedule: genesis must be a whole number of slots of {times['slot_seconds']} s")
    if genesis < times["gate_lead"] + times["horizon"]:
        raise FileError(f"schedule: with genesis {genesis} bids would open before 1970")
    return Schedule(genesis=genesis, **times)


def _genesis(value: Any, earliest: int) -> int:
    if value == "next midnight":
        return -(-earliest // DAY_SECONDS) * DAY_SECONDS
    if type(value) is int and value > 0:
        return value
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise FileError(
            f'schedule: genesis {shown(value)} is not a time; write 2030-01-01T00:00:00Z or "next midnight"'
        ) from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _integers(value: Any, place: str, defaults: Mapping[str, int], least: int, most: int) -> dict[str, int]:
    """Named integers, those left out at their defaults."""
    entries = object_at(value, place, (), defaults)
    return {
        name: integer_at(entries.get(name, default), f"{place}: {name}", least, most)
        for name, default in defaults.items()
    }


def _address(value: Any, place: str) -> str:
    # YAML reads 0x... without quotes as a number
    text = f"0x{value:040x}" if type(value) is int and 0 < value < 2**160 else value
    if not isinstance(text, str) or not is_address(text) or int(text, 16) == 0:
        raise FileError(
            f"{place} {shown(str(value))} is not an address: 0x and 40 hex digits, not all of them 0"
        )
    checked = str(to_checksum_address(text))
    if text not in (checked, text.lower()):
        raise FileError(f"{place} {text} is mistyped: the case of its letters does not fit its digits")
    return checked


def _token(collateral: Mapping[str, Any]) -> str | None:
    return _address(collateral["token"], "collateral: token") if "token" in collateral else None
