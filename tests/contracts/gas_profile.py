"""Gas of whole auctions, from receipts: what the gas snapshot holds and `benchmarks/gas.py` prints.

Everybody who deploys, bids and meters has a fixed key and nothing that is sent tells the time, so the figures are the
same to the unit in every run.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount

from tests.contracts.community import Community, Participant, Roster, deploy_community, key_of

RETAIL, FEED_IN = 30_000, 8_000
DAYS_APART = 10  # so far that one auction is over before the next takes bids
POSTED_BIDS = 100

BASE_GAS, FLOOR_PER_TOKEN = 21_000, 10
"""EIP-7623: no transaction costs less than this for its calldata; a zero byte is one token, any other four."""

COLD_SLOT = 5_000
"""The least a member's record costs to be changed: read for the first time in a transaction, and written."""


class Cost(NamedTuple):
    """Gas, and what it can't come below: the floor price of its calldata and one cold slot for each member."""

    gas: int
    floor: int


@dataclass(frozen=True)
class Shape:
    """What kind of auction: T slots, members (the retailer included), steps per member and slot."""

    slots: int
    members: int
    steps_per_slot: int

    @property
    def steps(self) -> int:
        return self.slots * self.members * self.steps_per_slot

    @property
    def per_day(self) -> int:
        """Auctions a day, and records a member needs for bidding a day ahead."""
        return 96 // self.slots

    def auction(self, number: int) -> int:
        """The `number`-th auction to be run; all use the same records."""
        return number * DAYS_APART * self.per_day

    def __str__(self) -> str:
        return f"T={self.slots}, {self.members} members, {self.steps_per_slot} per slot"


@dataclass(frozen=True)
class GasProfile:
    """Gas of one auction, each transaction's own cost included.

    signed: all its bids, posted in one transaction. own: the same in a transaction each. clear, settle: in one
    transaction each, the members' terms read from a roster. unlisted: settlement without a roster. roster: writing it,
    once until some member's terms change. draw: minting all members' energy tokens, which nobody need do.
    """

    shape: Shape
    signed: Cost
    own: Cost
    clear: Cost
    settle: Cost
    unlisted: Cost
    roster: Cost
    draw: Cost

    @property
    def all_in(self) -> Cost:
        """From signed bids to money paid and energy claims recorded, the roster there already."""
        stages = (self.signed, self.clear, self.settle)
        return Cost(sum(stage.gas for stage in stages), sum(stage.floor for stage in stages))

    @property
    def auctions_to_pay_back(self) -> int:
        """Auctions after which a roster has saved what writing it cost."""
        return -(-self.roster.gas // (self.unlisted.gas - self.settle.gas))


def profile(
    project: Any, chain: Any, accounts: Any, shape: Shape, report: Callable[[str], None] = lambda line: None
) -> GasProfile:
    """Run auctions of this shape in one market; measured are those whose records have been used before."""
    community = _deploy(project, chain, accounts, shape)
    roster = community.write_roster()
    report(f"{shape}: first auction")
    run_auction(community, shape, roster, shape.auction(0))
    report(f"{shape}: second auction, measured")
    measured = run_auction(community, shape, roster, shape.auction(1))
    report(f"{shape}: bids of a third")
    own = bid_in_person(community, shape, shape.auction(2))
    community.assert_money_conserved()
    written = _cost([roster.receipt], 0)
    return GasProfile(shape, own=own, roster=written, **measured)


def posting_profile(project: Any, chain: Any, accounts: Any) -> Cost:
    """`POSTED_BIDS` signed bids of one step each, posted in one call into records that have been used before."""
    shape = Shape(1, POSTED_BIDS, 1)
    community = _deploy(project, chain, accounts, shape)
    post_signed(community, shape, 0)
    community.travel(community.config.schedule.clearing_deadline(0))
    members = [participant.address for participant in community.participants]
    community.market.release(0, members, sender=community.owner)
    return _cost([post_signed(community, shape, shape.auction(1))], POSTED_BIDS)


# ---------------------------------------------------------------- the community


def _deploy(project: Any, chain: Any, accounts: Any, shape: Shape) -> Community:
    """The retailer at the root, the others spread over the zones; a third of them have PV."""
    operator, network, retailer = map(key_of, ("operator", "network", "retailer"))
    terms = {"slots": shape.slots, "ring_size": shape.per_day, "max_members": shape.members}
    chain.provider.set_balance(operator.address, 10**22)
    owner = accounts[operator.address]
    community = deploy_community(project, chain, owner, retailer.address, network.address, **terms)
    _admit(community, accounts, retailer, 0, "none")
    for number in range(shape.members - 1):
        zone = number % community.config.grid.zones
        source = "solar" if number % 3 == 0 else "none"
        _admit(community, accounts, key_of(f"household {number}"), zone, source)
    return community


def _admit(community: Community, accounts: Any, key: LocalAccount, zone: int, source: str) -> None:
    community.chain.provider.set_balance(key.address, 10**18)
    community.admit(accounts[key.address], zone, source, tokens=10**13, signing_key=key)


def bundles(community: Community, shape: Shape, auction: int) -> dict[str, list[tuple[int, int, int]]]:
    """Everybody's bundle by address: limits around the tariffs; the retailer's is large and at the tariffs."""
    rng = random.Random(f"{shape} {auction}")
    addresses = [participant.address for participant in community.participants]
    return {address: bundle(rng, shape, index == 0) for index, address in enumerate(addresses)}


def bundle(rng: random.Random, shape: Shape, retailer: bool) -> list[tuple[int, int, int]]:
    """One member's steps; the retailer's are at the tariffs."""
    places = [(slot, index) for slot in range(shape.slots) for index in range(shape.steps_per_slot)]
    return [_retail_step(shape, *place) if retailer else _household_step(rng, place[0]) for place in places]


def _retail_step(shape: Shape, slot: int, index: int) -> tuple[int, int, int]:
    selling = index == 1 if shape.steps_per_slot > 1 else slot % 2 == 0
    return (slot, RETAIL, 10**6) if selling else (slot, FEED_IN, -(10**6))


def _household_step(rng: random.Random, slot: int) -> tuple[int, int, int]:
    quantity = rng.choice((-1, 1)) * rng.randint(50, 900)
    return slot, rng.randint(FEED_IN, RETAIL), quantity


# ---------------------------------------------------------------- an auction


def run_auction(community: Community, shape: Shape, roster: Roster, auction: int) -> dict[str, Cost]:
    """One auction from signed bids to drawn tokens, every member a little off its position."""
    posted = post_signed(community, shape, auction)
    community.close_gate(auction)
    problem, result, claim, cleared = community.clear(auction)
    community.travel(community.config.schedule.delivery_end(auction))
    prices = community.post_imbalance(auction, claim)
    rng = random.Random(f"readings of {shape} {auction}")

    def deliver(participant: Participant) -> bytes:
        position = community.position(problem, result, participant)
        readings = [fill + rng.randint(-20, 20) for fill in position.fills]
        return community.delivery(auction, participant, position, readings)

    deliveries = [deliver(participant) for participant in community.participants]
    with community.chain.isolate():
        unlisted = community.settle(auction, prices, deliveries)
    settled = community.settle_listed(auction, prices, roster, deliveries)
    drawn = community.settlement.drawTokens(
        auction, _entitlements(community, settled), sender=community.owner
    )
    receipts = {"signed": posted, "clear": cleared, "settle": settled, "unlisted": unlisted, "draw": drawn}
    return {name: _cost([receipt], shape.members) for name, receipt in receipts.items()}


def post_signed(community: Community, shape: Shape, auction: int) -> Any:
    """Everybody's signed bid in one transaction; the gate is open afterwards. Returns the receipt."""
    community.bids.clear()
    community.open_gate(auction)
    receipt = community.bid_signed(auction, bundles(community, shape, auction))
    assert len(community.bids) == shape.members
    return receipt


def bid_in_person(community: Community, shape: Shape, auction: int) -> Cost:
    """Everybody's bid in a transaction of its own."""
    community.bids.clear()
    community.open_gate(auction)
    steps = bundles(community, shape, auction)
    receipts = [community.bid(member, auction, steps[member.address]) for member in community.participants]
    return _cost(receipts, shape.members)


def _entitlements(community: Community, settled: Any) -> list[tuple[Any, ...]]:
    return [(one.member, one.source, one.unmatched, one.bought) for one in community.settlements(settled)]


def _cost(receipts: Iterable[Any], members: int) -> Cost:
    receipts = list(receipts)
    floor = sum(floor_of(bytes(receipt.transaction.data)) for receipt in receipts)
    return Cost(sum(receipt.gas_used for receipt in receipts), floor + COLD_SLOT * members)


def floor_of(calldata: bytes) -> int:
    """Gas that a transaction with this calldata costs at least."""
    tokens = 4 * len(calldata) - 3 * calldata.count(0)
    return BASE_GAS + FLOOR_PER_TOKEN * tokens
