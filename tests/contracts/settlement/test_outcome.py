"""What readings come to, at the corners of an int32 and for any number of slots."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from clearwatt.chain import codec
from clearwatt.clearing.positions import Position
from tests.contracts.community import Community

LOWEST, HIGHEST = -(2**31), 2**31 - 1
CORNERS = (LOWEST, LOWEST + 1, -1, 0, 1, HIGHEST - 1, HIGHEST)
FUNDS = 10**14


def expected(
    position: Position, readings: Sequence[int], surplus: Sequence[int], shortage: Sequence[int]
) -> tuple[int, int, int]:
    """Money for imbalance, Wh injected beyond what was sold, Wh bought."""
    pairs = list(zip(position.fills, readings, strict=True))
    money = sum(
        (read - fill) * (low if read > fill else high)
        for (fill, read), low, high in zip(pairs, surplus, shortage, strict=True)
    )
    unmatched = sum(max(read, 0) - max(min(read, fill), 0) for fill, read in pairs)
    return money, unmatched, sum(max(-fill, 0) for fill, _ in pairs)


@pytest.fixture(params=[1, 3, 4, 9], ids="T={}".format)
def traded(request: Any, deploy: Callable[..., Community], accounts: Any) -> tuple[Community, Any, Any]:
    """An auction in which one member sells and buys by turns as much as a bundle can hold."""
    market = deploy(slots=request.param, ring_size=1_000, min_price=-(2**23), max_price=2**23 - 1)
    seller = market.admit(accounts[3], zone=0, source="solar", tokens=FUNDS)
    buyer = market.admit(accounts[4], zone=0, tokens=FUNDS)
    market.open_gate(0)
    signs = [1 if slot % 3 == 0 else -1 if slot % 3 == 1 else 0 for slot in range(request.param)]
    quantity = HIGHEST // sum(map(abs, signs))
    bundle = [(slot, 7, sign * quantity) for slot, sign in enumerate(signs) if sign]
    market.bid(seller, 0, bundle)
    market.bid(buyer, 0, [(slot, price, -size) for slot, price, size in bundle])
    market.await_clearing(0)
    problem, result, claim, _ = market.clear(0)
    market.travel(market.config.schedule.delivery_end(0))
    return market, (seller, market.position(problem, result, seller)), claim


@pytest.mark.parametrize("seed", range(3))
def test_settle__readings_at_the_corners__exact(traded: tuple[Community, Any, Any], seed: int) -> None:
    market, (seller, position), claim = traded
    slots = market.config.schedule.slots
    rng = random.Random(seed)
    bounds = market.config.min_price, market.config.max_price
    surplus, shortage = ([[bound] * slots for _ in claim.prices] for bound in bounds)
    prices = codec.pack_imbalance(surplus, shortage)
    signed = (codec.pack_prices(claim.prices), prices, market.sign_imbalance(0, prices))
    market.settlement.postImbalance(0, *signed, sender=market.owner)
    market.await_final(0)
    readings = [rng.choice((*CORNERS, *position.fills)) for _ in range(slots)]
    receipt = market.settle(0, prices, [market.delivery(0, seller, position, readings)])
    [settled] = market.settlements(receipt)
    assert settled.readings == tuple(readings)
    outcome = (settled.imbalance, settled.unmatched, settled.bought)
    assert outcome == expected(position, readings, surplus[0], shortage[0])
    matched = sum(max(min(read, fill), 0) for fill, read in zip(position.fills, readings, strict=True))
    totals = market.settlement.totalsOf(0)
    assert (totals.bought, totals.solar) == (outcome[2], matched)
    market.assert_money_conserved()
