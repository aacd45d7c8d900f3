"""What `clearwatt.chain.capacity` takes a clearing to cost at most is what it costs at most."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from clearwatt.chain.capacity import Auctions, fill_gas
from clearwatt.chain.chunked import state_words
from tests.contracts.chunked.session import Session
from tests.contracts.community import Community, deploy_community, key_of
from tests.contracts.day import Day

Bundle = list[tuple[int, int, int]]
ABI_BYTES = 4 + 8 * 32
"""Selector, heads, lengths and padding of a clearing."""


def crowd(project: Any, chain: Any, accounts: Any, members: int, slots: int, max_steps: int = 0) -> Community:
    """Members spread over the zones, who sign their bids."""
    retailer, network = key_of("retailer").address, key_of("network").address
    terms = {"slots": slots, "max_steps": max_steps}
    community = deploy_community(project, chain, accounts[0], retailer, network, **terms)
    for number in range(members):
        key = key_of(f"household {number}")
        zone = number % community.config.grid.zones
        community.admit(accounts[key.address], zone, tokens=10**10, signing_key=key)
    return community


def varied(slots: int, each: int) -> Bundle:
    """Steps at random prices."""
    rng = random.Random(1)
    return [
        (slot, rng.randint(8_000, 30_000), rng.choice((-1, 1)) * rng.randint(50, 900))
        for slot in range(slots)
        for _ in range(each)
    ]


def at_one_price(slots: int, each: int) -> Bundle:
    """The dearest kind of steps: each takes its share of a marginal volume."""
    return [(slot, 10_000, 100 if index % 2 else -90) for slot in range(slots) for index in range(each)]


@pytest.mark.parametrize(("slots", "members", "each"), [(4, 30, 2), (96, 6, 2)])
@pytest.mark.parametrize("bundle", [varied, at_one_price])
def test_clearing__any_bids__gas_and_calldata_within_the_bound(
    project: Any,
    chain: Any,
    accounts: Any,
    slots: int,
    members: int,
    each: int,
    bundle: Callable[[int, int], Bundle],
) -> None:
    community = crowd(project, chain, accounts, members, slots)
    auctions, steps = Auctions(community.config.grid.zones, slots), members * slots * each
    await_clearing(community, bundle(slots, each))
    *_, receipt = community.clear(0)
    assert receipt.gas_used <= auctions.gas(members, steps)
    assert len(bytes(receipt.transaction.data)) <= auctions.calldata(members, steps) + ABI_BYTES


def await_clearing(community: Community, bundle: Bundle) -> None:
    """Everybody's bid is this bundle, and the gate is closed."""
    community.open_gate(0)
    community.bid_signed(0, {p.address: bundle for p in community.participants})
    assert len(community.bids) == len(community.participants)
    community.close_gate(0)


@pytest.mark.parametrize(("slots", "members", "each"), [(1, 1, 1), (4, 20, 2), (4, 2, 60), (96, 3, 2)])
@pytest.mark.parametrize("bundle", [varied, at_one_price])
def test_chunk__any_bids__gas_within_the_bound(
    project: Any,
    chain: Any,
    accounts: Any,
    slots: int,
    members: int,
    each: int,
    bundle: Callable[[int, int], Bundle],
) -> None:
    community = crowd(project, chain, accounts, members, slots, slots * each)
    await_clearing(community, bundle(slots, each))
    day = Day(community, 0, *community.solve(0))
    session = Session(day, accounts[9]).begin().fill_all(members)
    words = state_words(day.problem, day.claim)
    assert session.receipts[-1].gas_used <= fill_gas(words, members, members * slots * each)
