"""Gas of whole auctions is what the committed snapshot says: gas is exact, so it can be tested; time is not.

A change is committed on purpose: `CLEARWATT_GAS=write .venv/bin/pytest tests/contracts/test_gas.py` writes the snapshot
anew.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.gas_profile import POSTED_BIDS, Cost, GasProfile, Shape, posting_profile, profile

SNAPSHOT = Path(__file__).with_name("gas_snapshot.json")
STAGES = ("signed", "own", "clear", "settle", "unlisted", "roster", "draw")
SHAPES = (Shape(4, 100, 2), Shape(96, 20, 1), Shape(96, 50, 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gas__whole_auction__as_in_the_snapshot(
    project: Any, chain: Any, accounts: Any, shape: Shape
) -> None:
    measured = profile(project, chain, accounts, shape)
    compare(str(shape), {stage: getattr(measured, stage).gas for stage in STAGES})
    require_targets(measured)


def test_gas__signed_bids_of_one_step__as_in_the_snapshot(project: Any, chain: Any, accounts: Any) -> None:
    measured = posting_profile(project, chain, accounts)
    compare(f"{POSTED_BIDS} signed bids of one step", {"signed": measured.gas})
    assert measured.gas / POSTED_BIDS <= 18_000


def require_targets(measured: GasProfile) -> None:
    """What the design asks for, per step; with one step per slot the same as per member and slot."""
    if measured.shape == Shape(96, 50, 1):
        limits = [(measured.signed, 800), (measured.clear, 900), (measured.settle, 600)]
    elif measured.shape == Shape(4, 100, 2):
        limits = [(measured.clear, 1_900), (measured.all_in, 6_500)]
    else:
        limits = []
    for cost, limit in limits:
        assert per_step(cost, measured.shape) <= limit


def per_step(cost: Cost, shape: Shape) -> float:
    return cost.gas / shape.steps


def compare(name: str, measured: dict[str, int]) -> None:
    """With the snapshot; or write it, if so asked."""
    snapshot = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    if os.environ.get("CLEARWATT_GAS") == "write":
        SNAPSHOT.write_text(json.dumps(snapshot | {name: measured}, indent=1, sort_keys=True) + "\n")
        return
    assert measured == snapshot.get(name)
