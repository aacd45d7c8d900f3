"""Random auctions with claims, honest and falsified, and the twin's verdict on each, for forge to put on chain.

    python -m tests.fuzz.vectors

writes `vectors.json` beside this file; `test_vectors.py` fails where the file is not what this makes. Auctions and
claims stand in columns, since forge reads a column at once: claim i is about auction `auction[i]`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from clearwatt.chain import codec
from clearwatt.chain.deployment import pack_grid
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.clearing.equilibrium import RuleBroken, check_claim, claim_of
from clearwatt.clearing.tree import clear
from tests.contracts.equilibrium.tampering import tampered_claims
from tests.offchain.clearing.auctions import random_auction

PATH = Path(__file__).with_name("vectors.json")
AUCTIONS = 180
TAMPERED_PER_AUCTION = 5
MAX_STEPS = 40
ACCEPTED = ""


def judged(auction: Auction, claim: Claim) -> tuple[str, int]:
    """The tag of the rule broken, or none and what the network earns."""
    try:
        result = check_claim(auction, claim)
    except RuleBroken as broken:
        return broken.rule, 0
    income = sum(
        flow * (result.prices[auction.grid.parents[zone]][slot] - result.prices[zone][slot])
        for zone in range(1, auction.grid.zones)
        for slot, flow in enumerate(result.flows[zone])
    )
    return ACCEPTED, income


def fits(auction: Auction) -> bool:
    """Whether no member's quantities add up to more than an int32 holds; the market takes no other."""
    return all(sum(abs(step.quantity) for step in bid.steps) < 2**31 for bid in auction.bids)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def vectors() -> dict[str, list[Any]]:
    """The file's columns: of auctions `lines` to `bids`, of claims the rest."""
    rng = np.random.default_rng(20_261)
    columns: dict[str, list[Any]] = {
        name: []
        for name in (
            *("lines", "slots", "minPrice", "maxPrice", "bids"),
            *("auction", "prices", "marginals", "verdict", "income"),
        )
    }
    while len(columns["slots"]) < AUCTIONS:
        auction = random_auction(rng, max_zones=4, max_slots=3, max_steps=MAX_STEPS)
        if not fits(auction):
            continue
        honest = claim_of(auction, clear(auction))
        falsified = tampered_claims(rng, auction, honest, TAMPERED_PER_AUCTION)
        for claim in (honest, *falsified):
            add_claim(columns, len(columns["slots"]), auction, claim)
        add_auction(columns, auction)
    return columns


def add_auction(columns: dict[str, list[Any]], auction: Auction) -> None:
    columns["lines"].append(hexed(b"".join(word.to_bytes(32, "big") for word in pack_grid(auction.grid))))
    columns["slots"].append(auction.slots)
    columns["minPrice"].append(auction.min_price)
    columns["maxPrice"].append(auction.max_price)
    columns["bids"].append(hexed(codec.pack_bids(auction.bids)))


def add_claim(columns: dict[str, list[Any]], number: int, auction: Auction, claim: Claim) -> None:
    verdict, income = judged(auction, claim)
    columns["auction"].append(number)
    columns["prices"].append(hexed(codec.pack_prices(claim.prices)))
    columns["marginals"].append(hexed(codec.pack_marginals(claim.marginals)))
    columns["verdict"].append(verdict)
    columns["income"].append(str(income))


def text() -> str:
    """The file's text: a line per column entry, so that a change shows where it is."""
    return json.dumps(vectors(), indent=0) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
