"""Placing and replacing bundles: when, by whom, what of, and what it locks."""

from collections.abc import Callable
from typing import Any

import pytest

from clearwatt.bids import Step, pack_steps
from clearwatt.chain import codec
from clearwatt.chain.deployment import SOURCES
from clearwatt.units import INT32_MAX
from tests.contracts.community import FUNDS, Community, Participant
from tests.contracts.market.records import BID, LAST_NONCE, digest, lock_up, record_of
from tests.contracts.refusals import Refusal, refusal


def pack(*steps: tuple[int, int, int]) -> bytes:
    """Steps as they travel, in whatever order."""
    return b"".join(
        slot.to_bytes(1, "big")
        + price.to_bytes(3, "big", signed=True)
        + quantity.to_bytes(4, "big", signed=True)
        for slot, price, quantity in steps
    )


def answer(market: Community, participant: Participant, steps: bytes, auction: int = 0) -> Refusal | None:
    return refusal(market.market.bid, auction, steps, sender=participant.account)


@pytest.fixture
def gate(market: Community) -> Community:
    """The market with the gate of auction 0 open."""
    market.open_gate(0)
    return market


def test_bid__member__logged_recorded_and_counted(gate: Community, producer: Participant) -> None:
    receipt = gate.bid(producer, 0, [(0, -100, 5_000), (3, 200, -70)])
    steps = pack_steps([Step(0, -100, 5_000), Step(3, 200, -70)])
    [event] = receipt.decode_logs(gate.market.BidsPlaced)
    assert event.auction == 0
    assert bytes(event.bids) == bytes.fromhex(producer.address[2:]) + b"\0\2\0\2" + steps
    lock = lock_up(100 * 5_000 + 200 * 70)
    assert record_of(gate, 0, producer) == (digest(b"\0\2\0\2" + steps), LAST_NONCE, lock, 0, BID)
    assert gate.market.auctionOf(0).liveBids == 1


def test_bid__gate_times__to_the_second(market: Community, producer: Participant) -> None:
    opening, closure = market.config.schedule.opening(0), market.config.schedule.gate_closure(0)
    not_open = ("GateNotOpen", 0, opening, closure)
    for moment, expected in [
        (opening - 1, not_open),
        (opening, None),
        (closure - 1, None),
        (closure, not_open),
    ]:
        market.travel(moment)
        assert answer(market, producer, b"") == expected


def test_bid__stranger__refused(gate: Community, stranger: Any) -> None:
    assert refusal(gate.market.bid, 0, b"", sender=stranger) == ("NotAMember", stranger.address)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (b"1234567", ("MalformedSteps", 7)),
        (pack((0, 1, 1)) * 65_536, ("TooManySteps", 65_536, 8)),
        (pack((0, 1, 1), (4, 1, 1)), ("StepSlotUnknown", 1, 4)),
        (pack((1, 1, 1), (0, 1, 1)), ("StepsNotAscending", 1)),
        (pack((0, -50_001, 1)), ("StepPriceOutOfBounds", 0, -50_001)),
        (pack((0, 400_001, 1)), ("StepPriceOutOfBounds", 0, 400_001)),
        (pack(*[(0, 1, 1)] * 9), ("TooManySteps", 9, 8)),
        (pack((0, 1, 1), (0, 1, 0)), ("StepTooSmall", 1, 0, 1)),
        (pack((2, 1, INT32_MAX), (2, 1, 1)), ("BundleTooLarge", 2**31)),
        (pack((0, 1, -INT32_MAX), (3, 1, -1)), ("BundleTooLarge", 2**31)),
        (pack((1, 1, 1 - INT32_MAX), (2, 1, 2)), ("BundleTooLarge", 2**31)),
        (pack((0, 0, -INT32_MAX - 1)), ("BundleTooLarge", 2**31)),
    ],
    ids=[
        "length",
        "more than a count can say",
        "slot beyond the auction",
        "slots descending",
        "price too low",
        "price too high",
        "one too many",
        "no quantity",
        "sells beyond int32",
        "buys beyond int32",
        "sells and buys beyond int32",
        "int32 minimum",
    ],
)
def test_bid__impossible_steps__refused(
    gate: Community, producer: Participant, steps: bytes, expected: Refusal
) -> None:
    assert answer(gate, producer, steps) == expected


def test_bid__extremes__accepted(gate: Community, producer: Participant) -> None:
    assert answer(gate, producer, pack((0, 400_000, INT32_MAX))) is None
    assert answer(gate, producer, pack((3, 0, -INT32_MAX))) is None
    assert answer(gate, producer, pack((1, 400_000, INT32_MAX - 1), (3, 0, -1))) is None
    assert answer(gate, producer, pack((0, -50_000, 1), (3, 400_000, -1))) is None
    assert answer(gate, producer, pack(*[(3, 1, 1)] * 8)) is None


def test_bid__no_steps__counts_and_locks_nothing(gate: Community, producer: Participant) -> None:
    gate.bid(producer, 0, [])
    assert record_of(gate, 0, producer) == (digest(b"\0\2\0\0"), LAST_NONCE, 0, 0, BID)
    assert gate.market.auctionOf(0).liveBids == 1


# ------------------------------------------------------------------------------------------------ locks


@pytest.mark.parametrize(
    ("steps", "worst"),
    [
        ([(0, 30_000, -1_000)], 30_000_000),
        ([(0, -300, 1_000_000)], 300_000_000),
        ([(0, 30_000, 1_000), (1, -300, -1_000)], 0),
        ([(0, 100, -1_000), (0, 90, -1_000), (3, -1, 50), (3, 5, 70)], 190_050),
        ([(0, 1, -65_536)], 65_536),
        ([(0, 1, -65_537)], 65_537),
    ],
    ids=["buy", "sell at a negative limit", "paid either way", "several", "one lock unit", "just above one"],
)
def test_bid__lock__worst_payment_rounded_up(
    gate: Community, consumer: Participant, steps: list[tuple[int, int, int]], worst: int
) -> None:
    gate.bid(consumer, 0, steps)
    assert gate.vault.accountOf(consumer.address).locked == lock_up(worst)
    assert record_of(gate, 0, consumer).lock == lock_up(worst)


def test_bid__imbalance_margin__locked_for_every_wh(deploy: Callable[..., Community], accounts: Any) -> None:
    market = deploy(imbalance_margin=500)
    member = market.admit(accounts[3], zone=1)
    market.open_gate(0)
    market.bid(member, 0, [(0, 100, 3_000), (1, 200, -1_000)])
    assert market.vault.accountOf(member.address).locked == lock_up(500 * 4_000 + 200 * 1_000)


def test_bid__more_than_the_member_has__refused(gate: Community, consumer: Participant) -> None:
    funds = FUNDS * 100
    worst = lock_up(400_000 * INT32_MAX)
    too_much = answer(gate, consumer, pack((0, 400_000, -INT32_MAX)))
    assert too_much == ("BalanceTooLow", consumer.address, funds, worst)


def test_bid__another_auction__locks_add_up(gate: Community, consumer: Participant) -> None:
    gate.bid(consumer, 0, [(0, 30_000, -1_000)])
    gate.travel(gate.config.schedule.opening(1))
    gate.bid(consumer, 1, [(0, 20_000, -1_000)])
    assert gate.vault.accountOf(consumer.address).locked == lock_up(30_000_000) + lock_up(20_000_000)


@pytest.mark.parametrize("price", [40_000, 100, 30_000], ids=["higher", "lower", "same lock"])
def test_bid__replaced__lock_follows_and_counts_once(
    gate: Community, consumer: Participant, price: int
) -> None:
    gate.bid(consumer, 0, [(0, 30_000, -1_000)])
    gate.bid(consumer, 0, [(1, price, -1_000)])
    steps = pack_steps([Step(1, price, -1_000)])
    lock = lock_up(price * 1_000)
    assert gate.vault.accountOf(consumer.address).locked == lock
    assert record_of(gate, 0, consumer) == (digest(b"\0\2\0\1" + steps), LAST_NONCE, lock, 0, BID)
    assert gate.market.auctionOf(0).liveBids == 1


def announce_zone(market: Community, participant: Participant, zone: int) -> int:
    """Announce that the participant moves; when that can be adopted."""
    particulars = (zone, SOURCES[participant.source], participant.meter.address)
    receipt = market.registry.announce(participant.address, *particulars, sender=market.owner)
    [event] = receipt.decode_logs(market.registry.ChangeAnnounced)
    return int(event.event_arguments["from"])


def test_bid__zone_changed_later__bid_keeps_its_zone(market: Community, producer: Participant) -> None:
    adoption = announce_zone(market, producer, 3)
    schedule = market.config.schedule
    auction = next(n for n in range(1_000) if schedule.gate_closure(n) > adoption)
    market.open_gate(auction)
    market.bid(producer, auction, [(0, 100, 10)])
    before = record_of(market, auction, producer)
    market.travel(adoption)
    market.registry.adopt(producer.address, sender=market.owner)
    assert market.registry.memberOf(producer.address).zone == 3
    assert record_of(market, auction, producer) == before
    market.close_gate(auction)
    _, result, _, _ = market.clear(auction)
    assert result.fills == ((0,),)


def test_bid__zone_changed_before__bid_is_from_the_new_zone(market: Community, producer: Participant) -> None:
    adoption = announce_zone(market, producer, 3)
    market.travel(adoption)
    market.registry.adopt(producer.address, sender=market.owner)
    auction = next(n for n in range(1_000) if market.config.schedule.gate_closure(n) > adoption + 60)
    [event] = market.bid(producer, auction, []).decode_logs(market.market.BidsPlaced)
    assert [bid.zone for bid in codec.unpack_bids(bytes(event.bids))] == [3]


def test_bid__ring_turned_to_its_last__market_ends(deploy: Callable[..., Community], accounts: Any) -> None:
    market = deploy(slot_seconds=1, slots=1, ring_size=1)
    member = market.admit(accounts[3], zone=1)
    last = 2**20 - 1
    market.open_gate(last)
    assert answer(market, member, b"", auction=last) is None
    market.open_gate(last + 1)
    assert answer(market, member, b"", auction=last + 1) == ("MarketEnded",)
