"""A market's events entered into a view, one by one."""

from collections.abc import Sequence
from typing import Any

import pytest
from eth_utils import keccak
from web3.datastructures import AttributeDict

from clearwatt.bids import Bid, Step
from clearwatt.chain import codec
from clearwatt.chain.codec import Settled
from clearwatt.chain.deployment import Schedule
from clearwatt.chain.market import (
    LEAST_LISTED,
    PASSED_OVER,
    PRICES,
    AuctionView,
    MarketRules,
    MarketView,
    Report,
    apply,
)
from clearwatt.chain.node import Reference
from clearwatt.chain.typed_data import Evidence, Office, configuration_of
from clearwatt.clearing.auction import Claim, Marginal
from clearwatt.errors import UserError
from clearwatt.grid import Grid, Line
from tests.offchain.chain.settlements import pack_settlements

PRODUCER, CONSUMER, METER, NEW_METER, SOLVER = (f"0x{number:040x}" for number in range(1, 6))
SELL, BUY = (Step(0, 5, 100),), (Step(0, 9, -100), Step(1, 9, -50))
METERED = Settled(PRODUCER, Evidence.METER, 1, 300, -20, 4, 2, readings=(-7,))


@pytest.fixture
def view() -> MarketView:
    return MarketView(Reference(1, "0x01", 1), slots=1)


def enter(view: MarketView, name: str, **arguments: Any) -> None:
    """As web3 hands an event over."""
    apply(view, AttributeDict({"event": name, "args": AttributeDict(arguments)}))  # type: ignore[arg-type]


def bid(view: MarketView, member: str, steps: tuple[Step, ...], auction: int = 0) -> None:
    enter(view, "BidsPlaced", auction=auction, bids=codec.pack_bid(Bid(member, 0, steps)))


def test_member_admitted__new__known_with_meter_zone_and_source(view):
    enter(view, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    assert (view.meters, view.zones, view.sources) == ({PRODUCER: METER}, {PRODUCER: 3}, {PRODUCER: 1})


def test_member_admitted__again_elsewhere__the_last_counts(view):
    enter(view, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    enter(view, "MemberAdmitted", member=PRODUCER, zone=2, source=2, meter=NEW_METER)
    assert (view.meters, view.zones, view.sources) == ({PRODUCER: NEW_METER}, {PRODUCER: 2}, {PRODUCER: 2})


def write_roster(view: MarketView, roster: str, members: Sequence[str]) -> None:
    enter(view, "RosterWritten", roster=roster, members=codec.pack_members(members))


def test_roster__current__shortest_with_all_members_is_used(view):
    members = [f"0x{number:040x}" for number in range(100, 100 + LEAST_LISTED)]
    write_roster(view, "long", [*members, PRODUCER, CONSUMER])
    write_roster(view, "short", [PRODUCER, *members])
    write_roster(view, "without one", members[1:])
    assert view.roster_of(members) == "short"
    assert view.roster_of([*members, CONSUMER]) == "long"
    assert view.roster_of([*members, METER]) is None
    assert view.roster_of(members[1:]) is None  # too few for it to pay


def test_roster__terms_of_any_member_change__forgotten(view):
    enter(view, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    write_roster(view, "roster", [PRODUCER])
    enter(view, "MemberAdmitted", member=CONSUMER, zone=3, source=0, meter=METER)
    assert view.rosters == {"roster": (PRODUCER,)}
    enter(view, "MemberAdmitted", member=CONSUMER, zone=3, source=0, meter=NEW_METER)
    assert view.rosters == {}


@pytest.mark.parametrize("name", sorted(PASSED_OVER))
def test_apply__event_that_changes_no_auction__nothing(view, name):
    enter(view, name, member=PRODUCER)
    assert view == MarketView(view.reference, view.slots)


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


def test_bids__posted_together__of_a_member_s_the_last_counts(view):
    posted = [Bid(CONSUMER, 2, SELL), Bid(PRODUCER, 1, SELL), Bid(CONSUMER, 2, BUY)]
    enter(view, "BidsPlaced", auction=0, bids=b"".join(map(codec.pack_bid, posted)))
    assert view.auctions[0].bids == {PRODUCER: Bid(PRODUCER, 1, SELL), CONSUMER: Bid(CONSUMER, 2, BUY)}


def test_bid__refused__reason_kept_until_one_is_placed(view):
    enter(view, "BidRefused", auction=0, member=PRODUCER, reason=b"\1\2\3\4")
    assert view.auctions[0].refused == {PRODUCER: b"\1\2\3\4"}
    assert view.auctions[0].bids == {}
    bid(view, PRODUCER, SELL)
    assert view.auctions[0].refused == {}


def test_cancelled__without_a_bid__nothing(view):
    enter(view, "BidCancelled", auction=0, member=PRODUCER)
    assert view.auctions[0].bids == {}


def test_sealed_bids__opened_cancelled_or_forfeited__sealed_no_more(view):
    for member in (PRODUCER, CONSUMER, SOLVER, METER):
        enter(view, "BidSealed", auction=0, member=member, commitment=b"\0" * 32)
    auction = view.auctions[0]
    assert auction.bids == {}
    bid(view, PRODUCER, SELL)
    enter(view, "BidCancelled", auction=0, member=CONSUMER)
    enter(view, "SealForfeited", auction=0, member=SOLVER)
    assert auction.sealed == {METER}
    assert list(auction.bids) == [PRODUCER]


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

    post_imbalance(view, b"\0" * 12, final_from=50)
    assert (auction.imbalance, auction.by_quorum, auction.imbalance_final_from) == (b"\0" * 12, True, 50)
    settle(view, METERED)
    assert auction.settled == {PRODUCER: METERED}
    assert auction.unsettled == []
    enter(view, "TokensDrawn", auction=0, member=PRODUCER, unmatched=4, matched=0)
    assert auction.drawn == {PRODUCER}


def post_imbalance(view: MarketView, prices: bytes, final_from: int) -> None:
    enter(view, "ReportPosted", auction=0, subject=PRICES, content=b"\0" * 32, finalFrom=final_from)
    enter(view, "ImbalancePricesPosted", auction=0, byQuorum=True, imbalancePrices=prices)


def test_imbalance_prices__none__final_never(view):
    bid(view, PRODUCER, SELL)
    assert view.auctions[0].imbalance_final_from is None


def test_imbalance_prices__fallback__final_at_once(view):
    enter(view, "ImbalancePricesPosted", auction=0, byQuorum=False, imbalancePrices=b"\7")
    assert (view.auctions[0].imbalance, view.auctions[0].imbalance_final_from) == (b"\7", 0)


def test_imbalance_prices__disputed__final_when_the_owner_s_time_is_over(view):
    post_imbalance(view, b"\7", final_from=50)
    enter(view, "ReportDisputed", auction=0, subject=PRICES, member=PRODUCER, decideBefore=90)
    assert view.auctions[0].reports == {PRICES: Report(90, disputed=True)}
    assert view.auctions[0].imbalance_final_from == 90


@pytest.mark.parametrize("name", ["DisputeDecided", "DisputeLapsed"])
def test_imbalance_prices__dispute_over_and_they_stand__final_at_once(view, name):
    post_imbalance(view, b"\7", final_from=50)
    enter(view, "ReportDisputed", auction=0, subject=PRICES, member=PRODUCER, decideBefore=90)
    enter(view, name, auction=0, subject=PRICES, stands=True)
    assert view.auctions[0].imbalance_final_from == 0
    assert not view.auctions[0].reports[PRICES].disputed


def test_imbalance_prices__overturned__none_until_others_are_posted(view):
    post_imbalance(view, b"\7", final_from=50)
    enter(view, "ReportDisputed", auction=0, subject=PRICES, member=PRODUCER, decideBefore=90)
    enter(view, "DisputeDecided", auction=0, subject=PRICES, stands=False)
    auction = view.auctions[0]
    assert (auction.imbalance, auction.imbalance_final_from) == (None, None)
    assert auction.overturned == {b"\7"}
    post_imbalance(view, b"\6", final_from=80)
    assert (auction.imbalance, auction.imbalance_final_from) == (b"\6", 80)
    assert auction.overturned == {b"\7"}


def test_substitute__overturned__gone_and_imbalance_prices_untouched(view):
    post_imbalance(view, b"\7", final_from=50)
    enter(view, "ReportPosted", auction=0, subject=PRODUCER, content=b"\0" * 32, finalFrom=60)
    enter(view, "SubstitutePosted", auction=0, member=PRODUCER, readings=b"\1\2\3\4")
    auction = view.auctions[0]
    assert auction.substitutes == {PRODUCER: b"\1\2\3\4"}
    assert not auction.reports[PRODUCER].is_final(59)
    assert auction.reports[PRODUCER].is_final(60)
    enter(view, "ReportDisputed", auction=0, subject=PRODUCER, member=PRODUCER, decideBefore=90)
    enter(view, "DisputeDecided", auction=0, subject=PRODUCER, stands=False)
    assert auction.substitutes == {}
    assert auction.fallen == {PRODUCER: {b"\1\2\3\4"}}
    assert list(auction.reports) == [PRICES]
    assert auction.imbalance == b"\7"


def test_cleared_in_chunks__closed__positions_to_enter_until_all_are(view):
    bid(view, PRODUCER, SELL)
    auction = view.auctions[0]
    assert auction.unentered == []
    enter(view, "ClearingClosed", auction=0, solver=SOLVER, chunks=[b"\1" * 32, b"\2" * 32])
    assert auction.chunks == (b"\1" * 32, b"\2" * 32)
    assert auction.unentered == [0, 1]
    enter(view, "PositionsEntered", auction=0, chunk=1)
    assert auction.unentered == [0]
    enter(view, "PositionsEntered", auction=0, chunk=1)
    enter(view, "PositionsEntered", auction=0, chunk=0)
    assert auction.unentered == []


def test_cleared_in_chunks__one_without_bundles__not_waited_for(view):
    enter(view, "ClearingClosed", auction=0, solver=SOLVER, chunks=[keccak(b""), b"\2" * 32])
    assert view.auctions[0].unentered == [1]


def settle(view: MarketView, *settlements: Settled) -> None:
    enter(view, "MembersSettled", auction=0, settlements=pack_settlements(settlements))


def test_settled__several_at_once_and_another_later__all_known(view):
    deemed = Settled(CONSUMER, Evidence.DEEMED, 0, -300, 0, 0, 9, readings=())
    later = METERED._replace(member=SOLVER, evidence=Evidence.SUBSTITUTE)
    for member in (PRODUCER, CONSUMER, SOLVER):
        bid(view, member, SELL)
    settle(view, deemed, METERED)
    assert view.auctions[0].unsettled == [SOLVER]
    settle(view, later)
    assert view.auctions[0].settled == {CONSUMER: deemed, PRODUCER: METERED, SOLVER: later}


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


def test_substitute__overturned_twice__both_are_remembered(view):
    for readings in (b"\1\2\3\4", b"\5\6\7\0"):
        enter(view, "ReportPosted", auction=0, subject=PRODUCER, content=b"\0" * 32, finalFrom=60)
        enter(view, "SubstitutePosted", auction=0, member=PRODUCER, readings=readings)
        enter(view, "DisputeDecided", auction=0, subject=PRODUCER, stands=False)
    assert view.auctions[0].fallen == {PRODUCER: {b"\1\2\3\4", b"\5\6\7\0"}}


def test_quorum_changed__last_one__in_office_and_named_as_its_signatures_do(view):
    assert view.office is None
    enter(view, "QuorumChanged", epoch=0, signers=[PRODUCER], threshold=1)
    before = view.copy(view.reference)
    enter(view, "QuorumChanged", epoch=1, signers=[PRODUCER, CONSUMER], threshold=2)
    assert before.office == Office(0, (PRODUCER,), 1)
    assert view.office == Office(1, (PRODUCER, CONSUMER), 2)
    assert view.office.term == (1, configuration_of([PRODUCER, CONSUMER], 2))


def test_copy__of_a_view__later_events_change_the_copy_alone(view):
    bid(view, PRODUCER, SELL)
    later = view.copy(Reference(2, "0x02", 2))
    bid(later, CONSUMER, BUY)
    bid(later, CONSUMER, BUY, auction=1)
    enter(later, "MemberAdmitted", member=PRODUCER, zone=3, source=1, meter=METER)
    assert list(later.auctions[0].bids) == [PRODUCER, CONSUMER]
    assert list(view.auctions[0].bids) == [PRODUCER]
    assert (list(view.auctions), view.meters, view.reference.number) == ([0], {}, 1)
    enter(view, "BidCancelled", auction=0, member=PRODUCER)
    assert list(later.auctions[0].bids) == [PRODUCER, CONSUMER]


def test_auction_view__two__share_nothing():
    first, second = AuctionView(0), AuctionView(1)
    first.released.add(PRODUCER)
    assert not second.released
