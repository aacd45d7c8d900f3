"""Overflow: the corners of every number that is counted."""

from collections.abc import Callable
from typing import Any

import pytest

from clearwatt.chain import codec
from clearwatt.units import INT24_MAX, INT24_MIN, INT32_MAX, INT32_MIN
from tests.contracts.attacks.raids import balance, free_money, live_bids, said, settled
from tests.contracts.attacks.swift import SwiftCommunity
from tests.contracts.community import Community, Participant, deploy_community
from tests.contracts.day import Day
from tests.contracts.refusals import refusal

Deploy = Callable[..., Community]
RICH = 10**15
"""Tokens: enough to buy an int32 of Wh at the highest int24 of ticks."""


def packed(*steps: tuple[int, int, int]) -> bytes:
    return b"".join(
        slot.to_bytes(1, "big")
        + price.to_bytes(3, "big", signed=True)
        + quantity.to_bytes(4, "big", signed=True)
        for slot, price, quantity in steps
    )


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        (packed((0, 1, INT32_MIN)), "BundleTooLarge"),
        (packed((0, 1, INT32_MAX), (1, 1, 1)), "BundleTooLarge"),
        (packed((0, 1, INT32_MAX), (0, 1, INT32_MIN)), "BundleTooLarge"),
        (packed((0, INT24_MIN, 1)), "StepPriceOutOfBounds"),
        (packed((0, INT24_MAX, -1)), "StepPriceOutOfBounds"),
        (packed((255, 1, 1)), "StepSlotUnknown"),
        (packed((0, 1, 0)), "StepTooSmall"),
        (packed((1, 1, 1), (0, 1, 1)), "StepsNotAscending"),
        (packed((0, 1, 1)) * 9, "TooManySteps"),
        (packed((0, 1, 1))[:7], "MalformedSteps"),
    ],
    ids=["int32 min", "sum", "sum with int32 min", "low", "high", "slot", "nothing", "order", "many", "torn"],
)
def test_bid__beyond_what_can_be_counted__refused(
    gate: Community, consumer: Participant, steps: bytes, error: str
) -> None:
    """A member bids quantities, prices, slots or so many steps that the sums would wrap around."""
    assert said(refusal(gate.market.bid, 0, steps, sender=consumer.account)) == error


def test_signed_bid__lengths_beyond_the_batch__refused(gate: Community, consumer: Participant) -> None:
    """A poster gives a signed bid more steps or a longer signature than there are bytes."""
    whole = codec.pack_signed_bid(gate.signed_bid(consumer, 0, [(0, 100, -1)]))
    for forged in (whole[:29] + b"\xff\xff" + whole[31:], whole[:27] + b"\xff\xff" + whole[29:], whole[:30]):
        answer = refusal(gate.market.bidSigned, 0, forged, sender=gate.owner)
        assert said(answer) == "MalformedSignedBids"


def test_signed_bid__nonce_beyond_the_record__passed_over(gate: Community, consumer: Participant) -> None:
    """A member signs with nonces that spill over into the record's lock."""
    signed = [gate.signed_bid(consumer, 0, [], nonce=nonce) for nonce in (4_095, 4_096, 65_535, 0)]
    gate.post_signed(0, signed)
    assert live_bids(gate) == 0
    assert gate.vault.accountOf(consumer.address).locked == 0


@pytest.fixture(scope="module")
def wide_market(project: Any, chain: Any, accounts: Any, owner: Any) -> Community:
    """A market with every int24 as its price and the largest margin; a seller and a buyer beside the retailer."""
    terms = {"min_price": INT24_MIN, "max_price": INT24_MAX, "imbalance_margin": 2**24 - 1}
    genesis = (chain.pending_timestamp // 86_400 + 3) * 86_400
    parties = accounts[1].address, accounts[2].address
    market = deploy_community(project, chain, owner, *parties, genesis=genesis, **terms)
    market.testeuro.mint(owner, 4 * RICH, sender=owner)
    for index, source in ((1, "none"), (3, "solar"), (4, "none")):
        market.admit(accounts[index], zone=0, source=source, tokens=RICH)
    return market


@pytest.fixture
def wide(wide_market: Community, attacked: list[Community]) -> Community:
    market = SwiftCommunity(**vars(wide_market) | {"bids": {}})
    attacked.append(market)
    market.open_gate(0)
    return market


def trade_at(market: Community, price: int) -> Day:
    """Everything an int32 holds, traded at one price, and delivered."""
    _, seller, buyer = market.participants
    market.bid(seller, 0, [(0, price, INT32_MAX)])
    market.bid(buyer, 0, [(0, price, -INT32_MAX)])
    market.close_gate(0)
    day = Day(market, 0, *market.solve(0))
    day.clear()
    market.travel(market.config.schedule.delivery_end(0))
    return day


@pytest.mark.parametrize("price", [INT24_MIN, INT24_MAX])
def test_trade__at_the_corner__pays_to_the_unit(wide: Community, price: int) -> None:
    """A seller and a buyer trade an int32 of energy at the last price there is, for cash to wrap around."""
    _, seller, buyer = wide.participants
    before = [balance(wide, p.address) for p in (seller, buyer)]
    day = trade_at(wide, price)
    final_prices = wide.post_imbalance(0, day.claim)
    wide.settle(0, final_prices, [day.delivery(p) for p in (seller, buyer)])
    cash = price * INT32_MAX
    assert [balance(wide, p.address) for p in (seller, buyer)] == [before[0] + cash, before[1] - cash]
    assert wide.vault.clearingAccount() == 0


@pytest.mark.parametrize("price", [INT24_MIN, INT24_MAX])
@pytest.mark.parametrize("reading", [INT32_MIN, INT32_MAX])
def test_reading__at_the_corner__imbalance_to_the_unit(wide: Community, price: int, reading: int) -> None:
    """A meter reports the least or the most there is against the opposite position, for imbalance to wrap around."""
    _, seller, buyer = wide.participants
    day = trade_at(wide, price)
    final_prices = wide.post_imbalance(0, day.claim, spread=2**25)
    member = seller if reading < 0 else buyer
    readings = (reading,) * 4
    position = day.position(member)
    before = balance(wide, member.address)
    receipt = wide.settle(0, final_prices, [wide.delivery(0, member, position, readings)])
    [event] = settled(wide, receipt)
    at = INT24_MIN if reading > 0 else INT24_MAX
    assert event.imbalance == sum((reading - fill) * at for fill in position.fills)
    account = wide.vault.accountOf(member.address)
    owed = event.cash + event.imbalance
    assert account.balance - account.debt + wide.vault.claimOf(member.address) == before + owed


def test_debt__beyond_all_means__blocks_and_is_paid_off(wide: Community) -> None:
    """A member runs up a debt larger than all its money, for the balance to wrap into a fortune."""
    _, seller, _ = wide.participants
    day = trade_at(wide, 1_000)
    wide.vault.withdraw(free_money(wide, seller), sender=seller.account)
    final_prices = wide.post_imbalance(0, day.claim, spread=2**25)
    position = day.position(seller)
    wide.settle(0, final_prices, [wide.delivery(0, seller, position, (INT32_MIN,) * 4)])
    account = wide.vault.accountOf(seller.address)
    assert account.debt > 2**55
    assert (account.balance, account.locked, free_money(wide, seller)) == (0, 0, 0)
    assert said(refusal(wide.vault.withdraw, 100, sender=seller.account)) == "InDebt"
    wide.vault.deposit(seller.address, 10**6, sender=wide.owner)
    assert wide.vault.accountOf(seller.address).debt == account.debt - 10**8


def test_withdraw__more_than_there_is__refused(market: Community, producer: Participant) -> None:
    """A member withdraws one unit more than it has, or so much that the sum wraps around."""
    money = free_money(market, producer)
    for wanted in (money + 1, 2**80, 2**80 + money, 2**256 - 1):
        answer = refusal(market.vault.withdraw, wanted, sender=producer.account)
        assert answer == ("BalanceTooLow", producer.address, money, wanted)


def test_lock__dearest_bundle_of_all__fits_the_record(wide: Community) -> None:
    """A member places the dearest bundle there can be, for its lock to overflow the record's 40 bits."""
    buyer = wide.participants[2]
    worst = INT32_MAX * (INT24_MAX + 2**24 - 1)
    rounded = -(-worst // 2**20) * 2**20
    assert rounded < (2**40 - 1) * 2**20
    wide.bid(buyer, 0, [(0, INT24_MAX, -INT32_MAX)])
    assert wide.vault.accountOf(buyer.address).locked == rounded


def test_ring__turned_more_often_than_it_counts__refused(deploy: Deploy, accounts: Any) -> None:
    """A member waits until the ring has turned so often that an old record looks new."""
    market = deploy(slot_seconds=1, slots=1, ring_size=2, horizon=2)
    member = market.admit(accounts[3], zone=1)
    last = 2**21 - 1
    market.open_gate(last + 1)
    assert refusal(market.market.bid, last, b"", sender=member.account) is None
    assert refusal(market.market.bid, last + 1, b"", sender=member.account) == ("MarketEnded",)
