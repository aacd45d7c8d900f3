"""Calldata: a solver's and a settler's bytes, dropped, doubled, reordered, cut, padded or taken from elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clearwatt.bids import Bid, Step
from clearwatt.chain import codec, typed_data
from clearwatt.clearing.auction import Marginal
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.positions import Position
from clearwatt.clearing.tree import clear
from tests.contracts.attacks.raids import said, settle_all, settling
from tests.contracts.chunked.session import ordered, packed
from tests.contracts.community import Participant
from tests.contracts.day import Day
from tests.contracts.refusals import refusal

# ------------------------------------------------------------------------------------------------ bids


def test_bids__one_dropped__refused(day_closed: Day) -> None:
    """A solver leaves a member's bid out and puts the volumes right for it."""
    bids = ordered(day_closed.problem.bids)
    for gone in range(len(bids)):
        sent = packed(bids[:gone] + bids[gone + 1 :])
        assert day_closed.refusal(bids=sent) == ("E5_BidsLeftOut", 5, 4)


def test_bids__all_dropped__refused(day_closed: Day) -> None:
    """A solver clears an auction full of bids as if it were empty."""
    empty = replace(day_closed.claim, marginals=())
    assert day_closed.refusal(empty, bids=b"") == ("E5_BidsLeftOut", 5, 0)


def test_bids__one_doubled__refused(day_closed: Day) -> None:
    """A solver counts a friend's bid twice, in place of another's."""
    bids = ordered(day_closed.problem.bids)
    twice = packed([bids[0], bids[0], *bids[2:]])
    assert day_closed.refusal(bids=twice) == ("E5_TradersNotAscending", bids[0].member)


def test_bids__reordered__refused(day_closed: Day) -> None:
    """A solver puts a friend first, where the last Wh of a shared step goes."""
    bids = ordered(day_closed.problem.bids)
    swapped = packed([bids[1], bids[0], *bids[2:]])
    assert said(day_closed.refusal(bids=swapped)) == "E5_TradersNotAscending"


@pytest.mark.parametrize("cut", [1, 8, 23, 24])
def test_bids__truncated__refused(day_closed: Day, cut: int) -> None:
    """A solver cuts the bids off in the middle of the last one."""
    assert said(day_closed.refusal(bids=day_closed.bids[:-cut])) == "MalformedBids"


@pytest.mark.parametrize("padding", [b"\0", bytes(24), b"\xff" * 24])
def test_bids__padded__refused(day_closed: Day, padding: bytes) -> None:
    """A solver hangs bytes on to the bids that nobody placed."""
    answer = said(day_closed.refusal(bids=day_closed.bids + padding))
    assert answer in ("MalformedBids", "E5_TradersNotAscending", "E5_BidNotRecorded")


@pytest.mark.parametrize(
    "alter",
    [
        lambda bid: replace(bid, zone=0),
        lambda bid: replace(bid, zone=999),
        lambda bid: replace(bid, steps=bid.steps[1:]),
        lambda bid: replace(bid, steps=(*bid.steps, bid.steps[-1])),
        lambda bid: replace(bid, steps=(bid.steps[0]._replace(price=1), *bid.steps[1:])),
        lambda bid: replace(bid, steps=(bid.steps[0]._replace(quantity=1), *bid.steps[1:])),
        lambda bid: replace(bid, steps=(bid.steps[1], bid.steps[0].__class__(1, 2, 3), *bid.steps[2:])),
    ],
    ids=["zone", "no such zone", "step gone", "step doubled", "price", "quantity", "slots"],
)
def test_bids__one_altered__refused(day_closed: Day, alter: Callable[[Bid], Bid]) -> None:
    """A solver changes a bid's zone, or a step's slot, price or quantity, or how many there are."""
    bids = ordered(day_closed.problem.bids)
    victim = next(i for i, bid in enumerate(bids) if len(bid.steps) > 2)
    bids[victim] = alter(bids[victim])
    assert day_closed.refusal(bids=packed(bids)) == ("E5_BidNotRecorded", bids[victim].member)


def test_bids__of_a_stranger__refused(day_closed: Day, stranger: Any) -> None:
    """A solver makes up a bid of somebody who placed none."""
    made_up = Bid(str(stranger.address), 2, (Step(0, 0, 8_000),))
    bids = ordered([*day_closed.problem.bids, made_up])
    assert day_closed.refusal(bids=packed(bids)) == ("E5_BidNotRecorded", made_up.member)


# ------------------------------------------------------------------------------------------------ the claim


@pytest.mark.parametrize("tick", [-1, 1])
def test_prices__moved_by_a_tick__refused(day_closed: Day, tick: int) -> None:
    """A solver moves any one price by a tick in a friend's favour."""
    for zone, row in enumerate(day_closed.claim.prices):
        for slot, price in enumerate(row):
            assert day_closed.refusal(day_closed.with_price(zone, slot, price + tick)) is not None


def test_prices__of_another_auction__refused(day_closed: Day) -> None:
    """A solver sends the bids with the prices of another auction, or of this one without a rival's bid."""
    for gone in range(5):
        bids = day_closed.problem.bids[:gone] + day_closed.problem.bids[gone + 1 :]
        other = replace(day_closed.problem, bids=bids)
        prices = claim_of(other, clear(other)).prices
        assert prices != day_closed.claim.prices
        assert day_closed.refusal(replace(day_closed.claim, prices=prices)) is not None


def test_prices__beyond_the_bounds__refused(day_closed: Day) -> None:
    """A solver sends prices beyond the market's bounds, or too few or too many of them."""
    for price in (-(2**23), 2**23 - 1):
        assert day_closed.refusal(day_closed.with_price(0, 0, price)) is not None
    for prices in (day_closed.packed_prices[:-3], day_closed.packed_prices + bytes(3), b"", bytes(1)):
        assert said(day_closed.refusal(prices=prices)) == "MalformedPrices"


def test_marginals__named_twice__refused(day_closed: Day) -> None:
    """A solver names a marginal volume twice, to fill its steps twice."""
    marginals = day_closed.claim.marginals
    for i in range(len(marginals)):
        twice = replace(day_closed.claim, marginals=(*marginals[: i + 1], *marginals[i:]))
        assert day_closed.refusal(twice) == ("S4_MarginalsNotAscending", i + 1)


def test_marginals__reordered__refused(day_closed: Day) -> None:
    """A solver names the marginal volumes in another order."""
    backwards = replace(day_closed.claim, marginals=day_closed.claim.marginals[::-1])
    assert said(day_closed.refusal(backwards)) == "S4_MarginalsNotAscending"


def test_marginals__one_left_out__refused(day_closed: Day) -> None:
    """A solver leaves a marginal volume out, to fill nothing there."""
    for gone in day_closed.claim.marginals:
        claim = day_closed.with_marginal(*gone[:3])
        assert said(day_closed.refusal(claim)) in ("E1_SellStepNotNamed", "E2_BuyStepNotNamed")


@pytest.mark.parametrize("more", [-1, 1])
def test_marginals__filled_otherwise__refused(day_closed: Day, more: int) -> None:
    """A solver fills a marginal volume a Wh less or more, or beyond what is offered."""
    for marginal in day_closed.claim.marginals:
        if marginal.filled + more >= 0:
            claim = day_closed.with_marginal(*marginal[:3], filled=marginal.filled + more)
            assert day_closed.refusal(claim) is not None


def test_marginals__made_up__refused(day_closed: Day) -> None:
    """A solver names a marginal volume where no step is, or in a zone or slot that does not exist."""
    for zone, slot in ((1, 0), (999, 0), (0, 200)):
        made_up = Marginal(zone, slot, "sell", 1_000, 1_000)
        rest = [m for m in day_closed.claim.marginals if m[:2] != (zone, slot)]
        marginals = tuple(sorted([*rest, made_up], key=lambda m: (m.zone, m.slot, m.side == "buy")))
        answer = day_closed.refusal(replace(day_closed.claim, marginals=marginals))
        assert said(answer) in ("S4_MarginalQuantity", "S4_MarginalsNotAscending")


def test_marginals__with_a_third_side__refused(day_closed: Day) -> None:
    """A solver names a marginal volume whose side is neither sell nor buy."""
    sent = bytearray(codec.pack_marginals(day_closed.claim.marginals))
    sent[3] = 2
    assert said(day_closed.refusal(marginals=bytes(sent))) == "S4_MarginalsNotAscending"


@pytest.mark.parametrize("change", [lambda m: m[:-1], lambda m: m + b"\0", lambda m: m + bytes(16)])
def test_marginals__cut_or_padded__refused(day_closed: Day, change: Callable[[bytes], bytes]) -> None:
    """A solver cuts the marginal volumes off or pads them with an empty one."""
    sent = change(codec.pack_marginals(day_closed.claim.marginals))
    assert said(day_closed.refusal(marginals=sent)) in ("MalformedMarginals", "S4_MarginalsNotAscending")


def test_clear__another_auctions_number__refused(day_closed: Day) -> None:
    """A solver sends one auction's result under another's number."""
    market = day_closed.market
    marginals = codec.pack_marginals(day_closed.claim.marginals)
    for number in (1, 8, 2**64):
        sent = (number, day_closed.packed_prices, marginals, day_closed.bids)
        answer = said(refusal(market.clearing.clear, *sent, sender=market.owner))
        assert answer in ("NotClearingTime", "MarketEnded")


def test_trade__withheld__refused(day_closed: Day) -> None:
    """A solver withholds a trade between two steps at the same price."""
    sell, buy = next(
        (sell, buy)
        for sell in day_closed.claim.marginals
        for buy in day_closed.claim.marginals
        if sell[:2] == buy[:2] and (sell.side, buy.side) == ("sell", "buy")
    )
    less = {sell: sell._replace(filled=sell.filled - 100), buy: buy._replace(filled=buy.filled - 100)}
    marginals = tuple(less.get(marginal, marginal) for marginal in day_closed.claim.marginals)
    assert said(day_closed.refusal(replace(day_closed.claim, marginals=marginals))) == "E7_TradeWithheld"


# ------------------------------------------------------------------------------------------------ deliveries


@pytest.mark.parametrize(
    "alter",
    [
        lambda p: p._replace(zone=0),
        lambda p: p._replace(zone=65_535),
        lambda p: p._replace(cash=p.cash + 1),
        lambda p: p._replace(cash=2**63 - 1),
        lambda p: p._replace(fills=(p.fills[0] - 1, *p.fills[1:])),
        lambda p: Position(p.zone, p.cash, p.fills[::-1]),
    ],
    ids=["zone", "no such zone", "cash", "cash at the corner", "fill", "fills reversed"],
)
def test_position__altered__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant, alter: Callable[[Position], Position]
) -> None:
    """A member changes the zone, the cash or the fills of its position as it settles."""
    position = day_delivered.position(producer)
    delivery = day_delivered.market.delivery(0, producer, alter(position), position.fills)
    assert settling(day_delivered, final_prices, delivery) == ("RecordMismatch", 0, producer.address)


def test_position__of_another_member__refused(
    day_delivered: Day, final_prices: bytes, consumer: Participant, remote_producer: Participant
) -> None:
    """A member settles with a richer member's position."""
    position = day_delivered.position(remote_producer)
    delivery = day_delivered.market.delivery(0, consumer, position, position.fills)
    assert settling(day_delivered, final_prices, delivery) == ("RecordMismatch", 0, consumer.address)


def test_roster__of_ones_own_making__refused(
    day_delivered: Day, final_prices: bytes, consumer: Participant
) -> None:
    """A member settles by a roster of its own making, in which its meter is a key that it holds."""
    market, made = day_delivered.market, "0x" + 40 * "5"
    entry = bytes.fromhex(consumer.address[2:] + "00" + consumer.key.address[2:])
    market.chain.provider.make_request("anvil_setCode", [made, "0x00" + entry.hex()])
    position = day_delivered.position(consumer)
    own_word = replace(consumer, meter=consumer.key)
    packed = bytes(2) + market.delivery(0, own_word, position, (0, 0, 0, 0))[20:]
    listed = market.settlement.settleListed
    answer = refusal(listed, 0, final_prices, made, packed, sender=market.owner)
    assert answer == ("RosterOutdated", made)


def test_position__settled_as_a_bid__refused(day_closed: Day, producer: Participant) -> None:
    """A member of a void auction settles with a position that never came of its bid."""
    market = day_closed.market
    market.travel(market.config.schedule.deemed_from(0))
    answer = refusal(market.settlement.postFallback, 0, day_closed.packed_prices, sender=market.owner)
    assert answer == ("NotCleared", 0)
    assert said(settling(day_closed, bytes(96), day_closed.delivery(producer))) == "ImbalanceNotFinal"


@pytest.mark.parametrize("cut", [1, 4, 65, 97, 130])
def test_deliveries__truncated__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant, consumer: Participant, cut: int
) -> None:
    """A settler cuts the deliveries off, so that the rest is read from beyond their end."""
    whole = day_delivered.delivery(producer) + day_delivered.delivery(consumer)
    assert said(settling(day_delivered, final_prices, whole[:-cut])) == "MalformedDeliveries"


def test_deliveries__padded__refused(day_delivered: Day, final_prices: bytes, producer: Participant) -> None:
    """A settler pads the deliveries with nothing or with a delivery of nobody."""
    delivery = day_delivered.delivery(producer)
    for padding in (b"\0", bytes(38), bytes(136), b"\xff" * 55):
        answer = said(settling(day_delivered, final_prices, delivery + padding))
        assert answer in ("MalformedDeliveries", "ECDSAInvalidSignature", "UnknownEvidence")


def test_deliveries__the_same_twice__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A settler names a member that earned well twice in one call."""
    delivery = day_delivered.delivery(producer)
    expected = ("RecordMismatch", 0, producer.address)
    assert settling(day_delivered, final_prices, delivery, delivery) == expected


@pytest.mark.parametrize("evidence", [3, 7, 255])
def test_deliveries__on_made_up_evidence__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant, evidence: int
) -> None:
    """A settler names a kind of evidence that does not exist."""
    delivery = bytearray(day_delivered.delivery(producer))
    delivery[20] = evidence
    expected = ("UnknownEvidence", producer.address, evidence)
    assert settling(day_delivered, final_prices, bytes(delivery)) == expected


def test_deliveries__without_the_quorum__refused(
    day_delivered: Day, final_prices: bytes, consumer: Participant
) -> None:
    """A consumer passes readings of its own off as the quorum's."""
    delivery = day_delivered.market.substituted(consumer, day_delivered.position(consumer), (0,) * 4)
    day_delivered.market.travel(day_delivered.market.config.schedule.substitute_deadline(0))
    expected = ("SubstituteNotFinal", 0, consumer.address)
    assert settling(day_delivered, final_prices, delivery) == expected


def test_readings__altered__refused(day_delivered: Day, final_prices: bytes, producer: Participant) -> None:
    """A producer adds a Wh to what its meter signed."""
    delivery = bytearray(day_delivered.delivery(producer))
    delivery[39 + 16 + 3] ^= 1
    assert said(settling(day_delivered, final_prices, bytes(delivery))) == "WrongMeter"


@pytest.mark.parametrize(
    "change", [lambda p: p[:-6], lambda p: p + bytes(6), lambda p: bytes(len(p)), lambda p: b""]
)
def test_imbalance__other_than_reported__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant, change: Callable[[bytes], bytes]
) -> None:
    """A settler uses imbalance prices that nobody reported: cut, padded, all zero or none."""
    answer = settling(day_delivered, change(final_prices), day_delivered.delivery(producer))
    assert answer == ("ImbalanceNotFinal", 0)


def test_imbalance__measured_on_other_prices__refused(day_delivered: Day) -> None:
    """A poster names other prices than were cleared, so that bad imbalance prices look in order."""
    market = day_delivered.market
    other = [[price + 50_000 for price in row] for row in day_delivered.claim.prices]
    final_prices = codec.pack_imbalance(other, other)
    for post, sent in (
        (market.settlement.postImbalance, (final_prices, market.sign_imbalance(0, final_prices))),
        (market.settlement.postFallback, ()),
    ):
        answer = refusal(post, 0, codec.pack_prices(other), *sent, sender=market.owner)
        assert said(answer) in ("PricesMismatch", "TooEarlyFor")
    market.travel(market.config.schedule.substitute_deadline(0))
    fallback = refusal(market.settlement.postFallback, 0, codec.pack_prices(other), sender=market.owner)
    assert fallback == ("PricesMismatch", 0)


@pytest.mark.parametrize("column", [1, 2, 3], ids=["source", "unmatched", "bought"])
def test_tokens__more_than_entitled__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant, column: int
) -> None:
    """A member draws tokens of a better source, of more surplus or of more purchases than it had."""
    settle_all(day_delivered, final_prices)
    market = day_delivered.market
    row: list[Any] = [producer.address, 1, 0, 0]
    assert refusal(market.settlement.drawTokens, 0, [tuple(row)], sender=producer.account) is None
    row[column] += 1
    answer = refusal(market.settlement.drawTokens, 0, [tuple(row)], sender=producer.account)
    assert answer == ("RecordMismatch", 0, producer.address)


def test_evidence__meters_word_cut_to_deemed__refused(
    day_delivered: Day, final_prices: bytes, consumer: Participant
) -> None:
    """A consumer hides its meter's word and passes its delivery off as deemed before its time."""
    delivery = bytearray(day_delivered.delivery(consumer))
    delivery[20] = typed_data.Evidence.DEEMED
    assert said(settling(day_delivered, final_prices, bytes(delivery[:47]))) == "TooEarlyFor"
