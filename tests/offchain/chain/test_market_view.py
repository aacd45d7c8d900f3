"""A market's events entered into a view, one by one."""

from typing import Any

import pytest
from web3.datastructures import AttributeDict

from clearwatt.bids import Bid, Step, pack_steps
from clearwatt.chain import codec
from clearwatt.chain.deployment import Schedule
from clearwatt.chain.market import AuctionView, MarketRules, MarketView, Settled, apply
from clearwatt.chain.node import Reference
from clearwatt.clearing.auction import Claim, Marginal
from clearwatt.errors import UserError
from clearwatt.grid import Grid, Line

PRODUCER, CONSUMER, METER, NEW_METER, SOLVER = (f"0x{number:040x}" for number in range(1, 6))
SELL, BUY = (Step(0, 5, 100),), (Step(0, 9, -100), Step(1, 9, -50))


@pytest.fixture
def view() -> MarketView:
    return MarketView(Reference(1, "0x01", 1))


def enter(view: MarketView, name: str, **arguments: Any) -> None:
    """As web3 hands an event over."""
    apply(view, AttributeDict({"event": name, "args": AttributeDict(arguments)}))  # type: ignore[arg-type]


def bid(view: MarketView, member: str, steps: tuple[Step, ...], auction: int = 0) -> None:
    enter(view, "BidPlaced", auction=auction, member=member, zone=0, lock=1, steps=pack_steps(steps))


def test_member_admitted__new__known_with_meter_zone_and_source(view):
    enter(view, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    assert (view.meters, view.zones, view.sources) == ({PRODUCER: METER}, {PRODUCER: 3}, {PRODUCER: 1})


def test_member_admitted__again_elsewhere__the_last_counts(view):
    enter(view, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    enter(view, "MemberAdmitted", member=PRODUCER, zone=2, source=2, meter=NEW_METER)
    assert (view.meters, view.zones, view.sources) == ({PRODUCER: NEW_METER}, {PRODUCER: 2}, {PRODUCER: 2})


def test_meter_replaced__member__signs_with_the_new_one(view):
    enter(view, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    enter(view, "MeterReplaced", member=PRODUCER, previous=METER, meter=NEW_METER)
    assert view.meters == {PRODUCER: NEW_METER}


@pytest.mark.parametrize(
    "name",
    [
        "MemberSuspended",
        "ZoneAdded",
        "Connected",
        "EIP712DomainChanged",
        "OwnershipTransferred",
        "OwnershipTransferStarted",
    ],
)
def test_apply__event_that_changes_no_auction__nothing(view, name):
    enter(view, name, member=PRODUCER)
    assert view == MarketView(view.reference)


def test_bids__of_two_members__live_until_cancelled(view):
    bid(view, PRODUCER, SELL)
    bid(view, CONSUMER, BUY)
    assert view.auctions[0].bids == {PRODUCER: Bid(PRODUCER, 0, SELL), CONSUMER: Bid(CONSUMER, 0, BUY)}
    enter(view, "BidCancelled", auction=0, member=PRODUCER)
    assert list(view.auctions[0].bids) == [CONSUMER]


def test_bid__replaced__only_the_last_steps_count(view):
    bid(view, PRODUCER, SELL)
    bid(view, PRODUCER, BUY)
    assert view.auctions[0].bids == {PRODUCER: Bid(PRODUCER, 0, BUY)}


def test_bid__cancelled_and_placed_again__live(view):
    bid(view, PRODUCER, SELL)
    enter(view, "BidCancelled", auction=0, member=PRODUCER)
    bid(view, PRODUCER, BUY)
    assert view.auctions[0].bids == {PRODUCER: Bid(PRODUCER, 0, BUY)}


def test_bid__without_steps__live_all_the_same(view):
    bid(view, PRODUCER, ())
    assert view.auctions[0].bids == {PRODUCER: Bid(PRODUCER, 0, ())}


def test_bids__in_two_auctions__kept_apart(view):
    bid(view, PRODUCER, SELL, auction=0)
    bid(view, PRODUCER, BUY, auction=8)
    enter(view, "BidReleased", auction=0, member=PRODUCER)  # its lock went to the bid in auction 8
    assert view.auctions[0].released == {PRODUCER}
    assert view.auctions[8].released == set()
    assert view.auctions[8].bids[PRODUCER].steps == BUY


def test_auction__from_clearing_to_tokens__every_stage_noted(view):
    rules = MarketRules(Schedule(0, slots=1), Grid((-1, 0), (Line(), Line())), 0, 100, 8, PRODUCER, PRODUCER)
    marginals = (Marginal(0, 0, "sell", 100, 60),)
    bid(view, PRODUCER, SELL)
    auction = view.auctions[0]
    assert not auction.cleared
    enter(
        view,
        "Cleared",
        auction=0,
        solver=SOLVER,
        networkIncome=17,
        prices=codec.pack_prices(((5,), (-6,))),
        marginals=codec.pack_marginals(marginals),
    )
    assert (auction.cleared, auction.solver, auction.income) == (True, SOLVER, 17)
    assert auction.claim(rules) == Claim(((5,), (-6,)), marginals)
    assert auction.unsettled == [PRODUCER]

    enter(view, "ImbalancePricesPosted", auction=0, byQuorum=True, imbalancePrices=b"\0" * 12)
    assert auction.imbalance == b"\0" * 12
    settle(view)
    assert auction.settled == {PRODUCER: Settled(0, 300, -20, (-7,), 1, 4, 2)}
    assert auction.unsettled == []
    enter(view, "TokensDrawn", auction=0, member=PRODUCER, unmatched=4, matched=0)
    assert auction.drawn == {PRODUCER}


def settle(view: MarketView) -> None:
    enter(
        view,
        "MemberSettled",
        auction=0,
        member=PRODUCER,
        evidence=0,
        cash=300,
        imbalance=-20,
        readings=codec.pack_readings((-7,)),
        source=1,
        unmatched=4,
        bought=2,
    )


def test_problem__auction__what_a_solver_takes(view):
    rules = MarketRules(Schedule(0, slots=2), Grid.single(), -5, 100, 8, PRODUCER, PRODUCER)
    bid(view, CONSUMER, BUY)
    problem = view.auctions[0].problem(rules)
    assert (problem.slots, problem.min_price, problem.max_price) == (2, -5, 100)
    assert problem.bids == (Bid(CONSUMER, 0, BUY),)


@pytest.mark.parametrize("arguments", [{"auction": 3}, {"somebody": PRODUCER}])
def test_apply__unknown_event__refused_rather_than_overlooked(view, arguments):
    with pytest.raises(UserError, match="speaks of AuctionHalted, which this version"):
        enter(view, "AuctionHalted", **arguments)


def test_auction_view__two__share_nothing():
    first, second = AuctionView(0), AuctionView(1)
    first.released.add(PRODUCER)
    assert not second.released
