"""The library against its Python twin: the same claims, right and wrong, and the same verdict on each.

Both were written from the rules apart from each other. The library runs in a harness without a market around it, so
that a claim costs a call and not an auction.
"""

import os
from collections import Counter
from typing import Any

import numpy as np
import pytest
from eth_abi import decode

from clearwatt.chain import codec
from clearwatt.chain.deployment import pack_grid
from clearwatt.clearing.auction import Auction, Claim, Result
from clearwatt.clearing.equilibrium import RuleBroken, check_claim, claim_of
from clearwatt.clearing.tree import clear
from tests.contracts.equilibrium.tampering import tampered_claims
from tests.contracts.refusals import returned
from tests.offchain.clearing.auctions import random_auction

SEEDS = range(int(os.environ.get("CLEARWATT_FUZZ_SEEDS", "6")))  # `make fuzz` asks for more
AUCTIONS_PER_SEED = 100
TAMPERED_PER_AUCTION = 6
ACCEPTED = "accepted"


@pytest.fixture(scope="session")
def harness(project: Any, owner: Any) -> Any:
    return owner.deploy(project.EquilibriumHarness)


def ask(harness: Any, auction: Auction, claim: Claim) -> Any:
    """The library's answer: income, cash and fills per bundle in canonical order; or the error's name."""
    sent = (
        pack_grid(auction.grid),
        auction.slots,
        auction.min_price,
        auction.max_price,
        codec.pack_prices(claim.prices),
        codec.pack_marginals(claim.marginals),
        codec.pack_bids(auction.bids),
    )
    answer = returned(harness.check, *sent)
    return answer[0] if isinstance(answer, tuple) else decode(["uint256", "int256[]", "bytes[]"], answer)


def expected_answer(auction: Auction, result: Result) -> tuple[int, tuple[int, ...], tuple[bytes, ...]]:
    """The same from the twin's result."""
    prices, parents = result.prices, auction.grid.parents
    income = sum(
        flow * (prices[parents[zone]][slot] - prices[zone][slot])
        for zone in range(1, auction.grid.zones)
        for slot, flow in enumerate(result.flows[zone])
    )
    cash, packed = [], []
    for index in sorted(range(len(auction.bids)), key=lambda index: int(auction.bids[index].member, 16)):
        bid, fills = auction.bids[index], [0] * auction.slots
        for step, fill in zip(bid.steps, result.fills[index], strict=True):
            fills[step.slot] += fill
        cash.append(sum(fill * prices[bid.zone][slot] for slot, fill in enumerate(fills)))
        packed.append(codec.pack_readings(fills))
    return income, tuple(cash), tuple(packed)


def judge(auction: Auction, claim: Claim) -> tuple[str, Result | None]:
    """The twin's verdict: the rule broken, or the result."""
    try:
        return ACCEPTED, check_claim(auction, claim)
    except RuleBroken as broken:
        return broken.rule, None


def assert_same_verdict(harness: Any, auction: Auction, claim: Claim) -> str:
    verdict, result = judge(auction, claim)
    answer = ask(harness, auction, claim)
    if result is None:
        assert isinstance(answer, str), f"the twin names {verdict}, the library accepts {claim} of {auction}"
        assert answer[:2] == verdict, f"{claim} of {auction}"
    else:
        assert answer == expected_answer(auction, result), f"{claim} of {auction}"
    return verdict


def fits_its_slots(auction: Auction) -> bool:
    """Whether no bundle offers more in a slot than an int32 holds; the market takes no other."""
    for bid in auction.bids:
        total: Counter[int] = Counter()
        for step in bid.steps:
            total[step.slot] += abs(step.quantity)
        if any(volume >= 2**31 for volume in total.values()):
            return False
    return True


def auctions_of(rng: np.random.Generator) -> list[Auction]:
    """Random auctions of bundles that the market would take."""
    found: list[Auction] = []
    while len(found) < AUCTIONS_PER_SEED:
        auction = random_auction(rng)
        if fits_its_slots(auction):
            found.append(auction)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_library__honest_claims__accepted_with_the_twins_fills(harness: Any, seed: int) -> None:
    for auction in auctions_of(np.random.default_rng(seed)):
        assert assert_same_verdict(harness, auction, claim_of(auction, clear(auction))) == ACCEPTED


@pytest.mark.parametrize("seed", SEEDS)
def test_library__tampered_claims__refused_by_the_twins_rule(harness: Any, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    verdicts: Counter[str] = Counter()
    for auction in auctions_of(rng):
        claim = claim_of(auction, clear(auction))
        for falsified in tampered_claims(rng, auction, claim, TAMPERED_PER_AUCTION):
            verdicts[assert_same_verdict(harness, auction, falsified)] += 1
    assert verdicts.keys() >= {"E1", "E2", "E3", "E4", "E6", "S4"}
    assert verdicts.total() >= 3 * AUCTIONS_PER_SEED
