"""The YAML file a market is deployed from.

See `deployments/market.example.yaml`, which explains every key.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from eth_utils import is_address, to_checksum_address

from clearwatt.chain.deployment import MarketConfig, Schedule
from clearwatt.clearing.files import grid_from_json
from clearwatt.documents import FileError, array_at, integer_at, object_at, shown
from clearwatt.units import INT24_MAX, INT24_MIN

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
PRICES = {"min": -50_000, "max": 400_000, "imbalance_margin": 10_000}


def read_market_config(path: Path, owner: str, now: int) -> MarketConfig:
    """The configuration in a YAML file.

    owner: who owns the market unless the file says otherwise. now: Unix time, for ``genesis: next midnight``.
    Raises FileError with what is wrong and where.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return config_from_document(document, owner, now)
    except FileError as error:
        raise FileError(f"{path}: {error}") from None


def config_from_document(document: Any, owner: str, now: int) -> MarketConfig:
    """As `read_market_config`, from what YAML made of the file."""
    top = object_at(
        document,
        "the market",
        ("accounts", "oracles", "zones"),
        ("schedule", "prices", "ring_size", "collateral"),
    )
    accounts = object_at(top["accounts"], "accounts", ("balancing_party", "network"), ("owner",))
    oracles = object_at(top["oracles"], "oracles", ("signers", "threshold"))
    signers = array_at(oracles["signers"], "oracles: signers", "a list of addresses")
    prices = _integers(top.get("prices", {}), "prices", PRICES, INT24_MIN, INT24_MAX)
    collateral = object_at(top.get("collateral", {}), "collateral", (), ("token", "decimals"))
    return MarketConfig(
        schedule=_schedule(top.get("schedule", {}), now),
        grid=grid_from_json(top["zones"]),
        owner=_address(accounts.get("owner", owner), "accounts: owner"),
        balancing_party=_address(accounts["balancing_party"], "accounts: balancing_party"),
        network_account=_address(accounts["network"], "accounts: network"),
        signers=tuple(_address(signer, f"oracles: signers[{i}]") for i, signer in enumerate(signers)),
        threshold=integer_at(oracles["threshold"], "oracles: threshold", 1, max(len(signers), 1)),
        min_price=prices["min"],
        max_price=prices["max"],
        imbalance_margin=prices["imbalance_margin"],
        ring_size=integer_at(top.get("ring_size", 48), "ring_size", 1, 2**16 - 1),
        token=_token(collateral),
        token_decimals=integer_at(collateral.get("decimals", 6), "collateral: decimals", 0, 18),
    )


def _schedule(value: Any, now: int) -> Schedule:
    entries = object_at(value, "schedule", (), ("genesis", *TIMES))
    times = _integers({k: v for k, v in entries.items() if k != "genesis"}, "schedule", TIMES, 0, 2**31)
    if not 1 <= times["slots"] <= 96:
        raise FileError(f"schedule: slots {times['slots']} is not between 1 and 96")
    if times["slot_seconds"] < 1:
        raise FileError("schedule: slot_seconds must be at least 1")
    genesis = _genesis(entries.get("genesis", "next midnight"), now + times["gate_lead"])
    if genesis % times["slot_seconds"]:
        raise FileError(f"schedule: genesis must be a whole number of slots of {times['slot_seconds']} s")
    return Schedule(genesis=genesis, **times)


def _genesis(value: Any, earliest: int) -> int:
    if value == "next midnight":
        return -(-earliest // DAY_SECONDS) * DAY_SECONDS
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if type(value) is int and value > 0:
        return value
    raise FileError(
        f'schedule: genesis {value!r} is not a time; write 2030-01-01T00:00:00Z or "next midnight"'
    )


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
    if not isinstance(text, str) or not is_address(text):
        raise FileError(f"{place} {shown(str(value))} is not an address, 0x and 40 hex digits")
    return str(to_checksum_address(text))


def _token(collateral: Mapping[str, Any]) -> str | None:
    return _address(collateral["token"], "collateral: token") if "token" in collateral else None
