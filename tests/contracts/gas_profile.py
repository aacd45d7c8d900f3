"""Gas of whole auctions, from receipts: what the gas tests bound and `benchmarks/gas.py` prints."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount

from tests.contracts.community import Community, Participant, deploy_community, key_of

RETAIL, FEED_IN = 30_000, 8_000
AUCTIONS_APART = 100  # so far that the first is over before the second takes bids
BATCH = 25
"""Members settled in one transaction."""

BASE_GAS, FLOOR_PER_TOKEN = 21_000, 10
"""EIP-7623: no transaction costs less than this for its calldata; a zero byte is one token, any other four."""


@dataclass(frozen=True)
class Shape:
    """What kind of auction: T slots, members (the retailer included), steps per member and slot."""

    slots: int
    members: int
    steps_per_slot: int

    @property
    def steps(self) -> int:
        return self.slots * self.members * self.steps_per_slot

    def __str__(self) -> str:
        return f"T={self.slots}, {self.members} members, {self.steps_per_slot} per slot"


@dataclass(frozen=True)
class GasProfile:
    """Gas of one auction: all its bids, its clearing, all its settlement, each with every transaction's own cost.

    calldata: bytes of the clearing. floor: gas below which a transaction with this calldata cannot come.
    """

    shape: Shape
    bid: int
    clear: int
    settle: int
    calldata: int
    floor: int

    @property
    def all_in(self) -> int:
        return self.bid + self.clear + self.settle

    def per_step(self, gas: int) -> float:
        return gas / self.shape.steps


def profile(
    project: Any, chain: Any, accounts: Any, shape: Shape, report: Callable[[str], None] = lambda line: None
) -> GasProfile:
    """Run two auctions of this shape, the second in records the first has used, and measure the second."""
    retailer = key_of("retailer")
    network = accounts[2].address
    terms = {"slots": shape.slots, "ring_size": 1, "max_members": shape.members}
    community = deploy_community(project, chain, accounts[0], retailer.address, network, **terms)
    admit_all(community, accounts, shape, retailer)
    report(f"{shape}: first auction")
    run_auction(community, shape, 0)
    report(f"{shape}: second auction")
    measured = run_auction(community, shape, AUCTIONS_APART)
    community.assert_money_conserved()
    return measured


def admit_all(community: Community, accounts: Any, shape: Shape, retailer: LocalAccount) -> None:
    """The retailer at the root, the others spread over the zones; a third of them have PV."""
    _admit(community, accounts, retailer, 0, "none")
    for number in range(shape.members - 1):
        zone = number % community.config.grid.zones
        source = "solar" if number % 3 == 0 else "none"
        _admit(community, accounts, key_of(f"household {number}"), zone, source)


def _admit(community: Community, accounts: Any, key: LocalAccount, zone: int, source: str) -> None:
    community.chain.provider.set_balance(key.address, 10**18)
    community.admit(accounts[key.address], zone, source, tokens=10**13, signing_key=key)


def bundle(rng: random.Random, shape: Shape, retailer: bool) -> list[tuple[int, int, int]]:
    """A bundle with varied limits around the tariffs; a retailer's is large and at the tariffs."""
    places = [(slot, index) for slot in range(shape.slots) for index in range(shape.steps_per_slot)]
    return [_retail_step(shape, *place) if retailer else _household_step(rng, place[0]) for place in places]


def _retail_step(shape: Shape, slot: int, index: int) -> tuple[int, int, int]:
    selling = index == 1 if shape.steps_per_slot > 1 else slot % 2 == 0
    return (slot, RETAIL, 10**6) if selling else (slot, FEED_IN, -(10**6))


def _household_step(rng: random.Random, slot: int) -> tuple[int, int, int]:
    quantity = rng.choice((-1, 1)) * rng.randint(50, 900)
    return slot, rng.randint(FEED_IN, RETAIL), quantity


def run_auction(community: Community, shape: Shape, auction: int) -> GasProfile:
    """One auction from bids to settlement, every member a little off its position."""
    rng = random.Random(f"{shape} {auction}")
    community.bids.clear()
    community.open_gate(auction)
    bid_gas = sum(
        community.bid(participant, auction, bundle(rng, shape, index == 0)).gas_used
        for index, participant in enumerate(community.participants)
    )
    community.close_gate(auction)
    problem, result, claim, receipt = community.clear(auction)
    community.travel(community.config.schedule.delivery_end(auction))
    prices = community.post_imbalance(auction, claim)

    def deliver(participant: Participant) -> bytes:
        position = community.position(problem, result, participant)
        readings = [fill + rng.randint(-20, 20) for fill in position.fills]
        return community.delivery(auction, participant, position, readings)

    settle_gas = _settle(community, auction, prices, [deliver(p) for p in community.participants])
    calldata = bytes(receipt.transaction.data)
    return GasProfile(shape, bid_gas, receipt.gas_used, settle_gas, len(calldata), floor_of(calldata))


def _settle(community: Community, auction: int, prices: bytes, deliveries: list[bytes]) -> int:
    batches = (deliveries[start : start + BATCH] for start in range(0, len(deliveries), BATCH))
    return sum(community.settle(auction, prices, batch).gas_used for batch in batches)


def floor_of(calldata: bytes) -> int:
    """Gas that a transaction with this calldata costs at least."""
    tokens = 4 * len(calldata) - 3 * calldata.count(0)
    return BASE_GAS + FLOOR_PER_TOKEN * tokens
