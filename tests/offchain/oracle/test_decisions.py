"""What the oracle decides, as a function of the chain's time, an auction's state and the statements at hand."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.bids import Bid, Step
from clearwatt.chain.codec import Settled
from clearwatt.chain.deployment import SOURCES, Schedule
from clearwatt.chain.market import PRICES, AuctionView, MarketRules, Report
from clearwatt.chain.typed_data import Evidence
from clearwatt.grid import Grid
from clearwatt.metering.statements import Statement
from clearwatt.oracle.decisions import (
    Clear,
    Decision,
    DrawTokens,
    EnterPositions,
    Forfeit,
    PostFallback,
    PostImbalance,
    PostSubstitutes,
    Release,
    Settle,
    decide,
    entitled_members,
    imbalance_is_due,
    matched_by_source,
)

RETAILER, PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2, 3))
MEMBERS = (RETAILER, PRODUCER, CONSUMER)
AUCTION = 7
SCHEDULE = Schedule(genesis=1_000_000_800)
RULES = MarketRules(SCHEDULE, Grid.single(), 0, 100_000, 8, RETAILER, RETAILER)
CLOSURE = SCHEDULE.gate_closure(AUCTION)
CLEARING_DEADLINE = SCHEDULE.clearing_deadline(AUCTION)
DELIVERED = SCHEDULE.delivery_end(AUCTION)
METERING_DEADLINE = SCHEDULE.metering_deadline(AUCTION)
SUBSTITUTE_DEADLINE = SCHEDULE.substitute_deadline(AUCTION)
DEEMED_FROM = SCHEDULE.deemed_from(AUCTION)
SEALED_RULES = replace(RULES, schedule=replace(SCHEDULE, reveal_window=300))


def auction(
    bidders: Iterable[str] = MEMBERS,
    cleared: bool = False,
    priced: bool = False,
    settled: Iterable[str] = (),
    **more: Any,
) -> AuctionView:
    view = AuctionView(AUCTION, {member: Bid(member, 0, (Step(0, 5, 1),)) for member in bidders}, **more)
    if cleared or priced or settled:
        view.prices = view.marginals = b""
    if priced or settled:
        view.imbalance, view.by_quorum = b"", True
        view.reports = {PRICES: Report(final_from=DELIVERED)}
    view.settled = {member: settled_with() for member in settled}
    return view


def settled_with(source: str = "none", injected: int = 0, unmatched: int = 0, bought: int = 0) -> Settled:
    kind = SOURCES[source]
    return Settled(PRODUCER, Evidence.METER, kind, 0, 0, unmatched, bought, readings=(injected, -50))


def statements(members: Iterable[str]) -> dict[str, Statement]:
    return {member: Statement(AUCTION, member, b"", b"") for member in members}


def decided(
    view: AuctionView, now: int, reported: Iterable[str] = (), substitutable: Iterable[str] = ()
) -> Decision:
    readings = dict.fromkeys(substitutable, b"")
    return decide(view, RULES, now, lambda waiting: statements(reported), lambda waiting: readings)


# ------------------------------------------------------------ before clearing


def test_decide__nobody_bids__finished_with_the_gate():
    assert decided(auction(()), CLOSURE - 1) == Decision(AUCTION, "0 bids, the gate is open for 1 s more")
    assert decided(auction(()), CLOSURE) == Decision(AUCTION, "nobody bids in it", finished=True)


def test_decide__gate_open__waits():
    assert decided(auction(), CLOSURE - 60) == Decision(AUCTION, "3 bids, the gate is open for 60 s more")


@pytest.mark.parametrize("now", [CLOSURE, CLEARING_DEADLINE - 1])
def test_decide__gate_closed__clears(now):
    assert decided(auction(), now).action == Clear(AUCTION)


def test_decide__void__releases_the_locks_still_held():
    decision = decided(auction(released={PRODUCER}), CLEARING_DEADLINE)
    assert decision.action == Release(AUCTION, (RETAILER, CONSUMER))
    assert "2 locks" in decision.reason


def test_decide__void_and_released__finished():
    decision = decided(auction(released=set(MEMBERS)), CLEARING_DEADLINE)
    assert decision == Decision(AUCTION, "void, all locks released", finished=True)


# ------------------------------------------------------------ sealed bids


def sealed_decided(view: AuctionView, now: int) -> Decision:
    return decide(view, SEALED_RULES, now, lambda waiting: {})


def test_decide__sealed_and_gate_open__waits_for_the_gate():
    decision = sealed_decided(auction((), sealed={PRODUCER, CONSUMER}), CLOSURE - 60)
    assert decision == Decision(AUCTION, "0 bids, 2 sealed ones, the gate is open for 60 s more")


@pytest.mark.parametrize("now", [CLOSURE, CLOSURE + 299])
def test_decide__sealed_and_gate_closed__waits_for_them_to_be_opened(now):
    decision = sealed_decided(auction((RETAILER,), sealed={PRODUCER}), now)
    left = CLOSURE + 300 - now
    assert decision == Decision(AUCTION, f"1 bids, 1 sealed ones, these can be opened for {left} s more")


def test_decide__reveal_over__clears_the_opened_ones_first_then_takes_the_others_deposits():
    view = auction((RETAILER,), sealed={PRODUCER, CONSUMER})
    assert sealed_decided(view, CLOSURE + 300).action == Clear(AUCTION)
    view.prices = view.marginals = b""
    assert sealed_decided(view, CLOSURE + 300).action == Forfeit(AUCTION, (PRODUCER, CONSUMER))


def test_decide__none_opened__takes_the_deposits_and_is_finished():
    view = auction((), sealed={PRODUCER})
    assert sealed_decided(view, CLOSURE + 300).action == Forfeit(AUCTION, (PRODUCER,))
    view.sealed.clear()
    assert sealed_decided(view, CLOSURE + 300).finished


def test_decide__void_with_unopened_bids__releases_the_opened_then_takes_the_others_deposits():
    view, void = auction((RETAILER,), sealed={PRODUCER}), CLOSURE + 300 + SCHEDULE.clearing_window
    assert sealed_decided(view, void).action == Release(AUCTION, (RETAILER,))
    view.released.add(RETAILER)
    assert sealed_decided(view, void).action == Forfeit(AUCTION, (PRODUCER,))


# ------------------------------------------------------------ after clearing


@pytest.mark.parametrize("now", [CLOSURE, DELIVERED, DEEMED_FROM])
def test_decide__cleared_in_chunks__enters_the_positions_before_anything_else(now):
    view = auction(cleared=True, chunks=(b"1", b"2"), entered={1})
    decision = decided(view, now, MEMBERS)
    assert decision == Decision(
        AUCTION, "cleared in chunks, positions of 1 to enter", EnterPositions(AUCTION)
    )
    view.entered.add(0)
    assert decided(view, now, MEMBERS).action != EnterPositions(AUCTION)


@pytest.mark.parametrize("now", [CLOSURE, DELIVERED - 1])
def test_decide__under_delivery__waits_whatever_meters_have_said(now):
    decision = decided(auction(cleared=True), now, MEMBERS)
    assert decision == Decision(AUCTION, f"cleared, delivery ends in {DELIVERED - now} s")


def test_decide__before_delivery_ends__does_not_look_statements_up():
    def no_lookup(waiting: AuctionView) -> dict[str, Statement]:
        raise AssertionError("looked up")

    for view, now in ((auction(), CLOSURE), (auction(cleared=True), DELIVERED - 1)):
        decide(view, RULES, now, no_lookup)


@pytest.mark.parametrize("now", [DELIVERED, SUBSTITUTE_DEADLINE - 1])
def test_decide__all_meters_have_spoken__posts_imbalance_prices(now):
    assert decided(auction(cleared=True), now, MEMBERS).action == PostImbalance(AUCTION)


def test_decide__a_meter_is_missing__waits_until_the_metering_deadline():
    decision = decided(auction(cleared=True), METERING_DEADLINE - 1, (RETAILER, PRODUCER))
    assert decision == Decision(AUCTION, "delivered, waiting for 1 meters, at most 1 s more")


@pytest.mark.parametrize("now", [METERING_DEADLINE, SUBSTITUTE_DEADLINE - 1])
def test_decide__meters_late__posts_imbalance_prices_without_them(now):
    decision = decided(auction(cleared=True), now, (RETAILER,))
    assert decision == Decision(AUCTION, "delivered, 2 meters are late", PostImbalance(AUCTION))


@pytest.mark.parametrize("reported", [(), MEMBERS])
def test_decide__quorum_silent_until_its_deadline__posts_the_fallback(reported):
    assert decided(auction(cleared=True), SUBSTITUTE_DEADLINE, reported).action == PostFallback(AUCTION)


# ------------------------------------------------------------ disputes


def test_decide__imbalance_prices_not_final__waits_whatever_meters_have_said():
    view = auction(priced=True)
    view.reports[PRICES] = Report(DELIVERED + 3_600)
    assert decided(view, DELIVERED + 3_599, MEMBERS) == Decision(
        AUCTION, "imbalance prices can be disputed for 1 s more"
    )
    assert isinstance(decided(view, DELIVERED + 3_600, MEMBERS).action, Settle)


def test_decide__imbalance_prices_disputed__waits_for_the_owner():
    view = auction(priced=True)
    view.reports[PRICES] = Report(DELIVERED + 90_000, disputed=True)
    assert decided(view, DELIVERED + 89_990, MEMBERS) == Decision(
        AUCTION, "imbalance prices are disputed, the owner has 10 s more to decide"
    )


def test_decide__imbalance_prices_overturned__posts_others_and_in_the_end_the_fallback():
    view = auction(cleared=True, overturned={b""})
    assert decided(view, SUBSTITUTE_DEADLINE - 1, MEMBERS).action == PostImbalance(AUCTION)
    assert decided(view, SUBSTITUTE_DEADLINE, MEMBERS).action == PostFallback(AUCTION)


def test_decide__fallback_prices__settles_at_once():
    view = auction(cleared=True, imbalance=b"")
    assert decided(view, SUBSTITUTE_DEADLINE, MEMBERS).action == Settle(AUCTION, MEMBERS, Evidence.METER)


# ------------------------------------------------------------ settlement


@pytest.mark.parametrize("now", [DELIVERED, SUBSTITUTE_DEADLINE - 1])
def test_decide__some_have_a_statement__settles_these_on_their_meters_word(now):
    view = auction(settled=(RETAILER,))
    decision = decided(view, now, (PRODUCER,))
    assert decision.action == Settle(AUCTION, (PRODUCER,), Evidence.METER)
    assert decision.reason == "1 of 2 unsettled members have a statement"


def test_decide__none_has_a_statement__waits_until_readings_are_deemed():
    decision = decided(auction(settled=(RETAILER,)), DEEMED_FROM - 5)
    assert decision == Decision(AUCTION, "waiting for 2 statements, at most 5 s more")


def test_decide__silent_to_the_end__deemed():
    decision = decided(auction(settled=(RETAILER,)), DEEMED_FROM)
    assert decision.action == Settle(AUCTION, (PRODUCER, CONSUMER), Evidence.DEEMED)


def test_decide__some_silent_to_the_end__these_do_not_wait_for_those_who_spoke():
    view = auction(priced=True)
    assert decided(view, DEEMED_FROM, (CONSUMER,)).action == Settle(
        AUCTION, (RETAILER, PRODUCER), Evidence.DEEMED
    )
    view.settled = {RETAILER: settled_with(), PRODUCER: settled_with()}
    late = decided(view, DEEMED_FROM, (CONSUMER,))
    assert late.action == Settle(AUCTION, (CONSUMER,), Evidence.METER)


def test_decide__substitute_reading__taken_once_it_is_final_and_instead_of_deeming():
    view = auction(settled=(RETAILER,), substitutes={PRODUCER: b""})
    view.reports[PRODUCER] = Report(METERING_DEADLINE + 3_600)
    assert decided(view, METERING_DEADLINE + 3_599).action is None
    for now in (METERING_DEADLINE + 3_600, DEEMED_FROM - 1):
        assert decided(view, now).action == Settle(AUCTION, (PRODUCER,), Evidence.SUBSTITUTE)
    assert decided(view, DEEMED_FROM).action == Settle(AUCTION, (CONSUMER,), Evidence.DEEMED)


def test_decide__meter_speaks_after_all__its_word_before_the_substitute():
    view = auction(settled=(RETAILER, CONSUMER), substitutes={PRODUCER: b""})
    view.reports[PRODUCER] = Report(METERING_DEADLINE)
    decision = decided(view, METERING_DEADLINE, (PRODUCER,))
    assert decision.action == Settle(AUCTION, (PRODUCER,), Evidence.METER)


# ------------------------------------------------------------ substitutes

PATIENT_UNTIL = METERING_DEADLINE + SCHEDULE.substitute_window // 4


@pytest.mark.parametrize("now", [METERING_DEADLINE, PATIENT_UNTIL - 1])
def test_decide__meters_late_and_substitutable__reports_these_before_imbalance_prices(now):
    decision = decided(auction(cleared=True), now, (RETAILER,), (PRODUCER,))
    assert decision.actions == (PostSubstitutes(AUCTION, (PRODUCER,)),)
    assert decision.reason == "delivered, 2 meters are late, 1 of them can be substituted"


@pytest.mark.parametrize("now", [PATIENT_UNTIL, SUBSTITUTE_DEADLINE - 1])
def test_decide__substitutes_still_wanting_signatures__imbalance_prices_go_first_at_last(now):
    decision = decided(auction(cleared=True), now, (RETAILER,), (PRODUCER,))
    assert decision.actions == (PostImbalance(AUCTION), PostSubstitutes(AUCTION, (PRODUCER,)))


def test_decide__all_substitutes_posted__imbalance_prices_at_once():
    view = auction(cleared=True, substitutes={PRODUCER: b"", CONSUMER: b""})
    decision = decided(view, METERING_DEADLINE, (RETAILER,), (PRODUCER, CONSUMER))
    assert decision.actions == (PostImbalance(AUCTION),)


@pytest.mark.parametrize("now", [METERING_DEADLINE - 1, SUBSTITUTE_DEADLINE])
def test_decide__outside_the_quorums_time__does_not_look_substitutes_up(now):
    def no_lookup(waiting: AuctionView) -> dict[str, bytes]:
        raise AssertionError("looked up")

    decide(auction(priced=True), RULES, now, lambda waiting: {}, no_lookup)
    decide(auction(cleared=True), RULES, now, lambda waiting: {}, no_lookup)


def test_decide__nobody_silent__does_not_look_substitutes_up():
    def no_lookup(waiting: AuctionView) -> dict[str, bytes]:
        raise AssertionError("looked up")

    view = auction(settled=(RETAILER,), substitutes={PRODUCER: b""})
    view.reports[PRODUCER] = Report(METERING_DEADLINE)
    decide(view, RULES, METERING_DEADLINE, lambda waiting: statements((CONSUMER,)), no_lookup)


def test_decide__imbalance_prices_not_final__late_meters_are_substituted_meanwhile():
    view = auction(priced=True)
    view.reports[PRICES] = Report(METERING_DEADLINE + 10)
    decision = decided(view, METERING_DEADLINE, (RETAILER,), (CONSUMER, PRODUCER))
    assert decision.actions == (PostSubstitutes(AUCTION, (PRODUCER, CONSUMER)),)


def test_decide__some_can_be_settled_and_some_substituted__both_and_settlement_first():
    view = auction(priced=True)
    decision = decided(view, METERING_DEADLINE, (RETAILER,), (PRODUCER,))
    settle = Settle(AUCTION, (RETAILER,), Evidence.METER)
    assert decision.actions == (settle, PostSubstitutes(AUCTION, (PRODUCER,)))


def test_decide__final_substitute_and_another_due__settles_the_one_and_reports_the_other():
    view = auction(settled=(RETAILER,), substitutes={PRODUCER: b""})
    view.reports[PRODUCER] = Report(METERING_DEADLINE)
    decision = decided(view, METERING_DEADLINE, (), (PRODUCER, CONSUMER))
    settle = Settle(AUCTION, (PRODUCER,), Evidence.SUBSTITUTE)
    assert decision.actions == (settle, PostSubstitutes(AUCTION, (CONSUMER,)))


def test_decide__nothing_to_go_by__waits_for_the_meter():
    decision = decided(auction(settled=(RETAILER, PRODUCER)), METERING_DEADLINE)
    left = DEEMED_FROM - METERING_DEADLINE
    assert decision == Decision(AUCTION, f"waiting for 1 statements, at most {left} s more")
    assert decision.actions == ()


def test_imbalance_is_due__all_have_spoken__does_not_wait_for_the_deadline():
    view, spoken = auction(cleared=True), statements(MEMBERS)
    assert imbalance_is_due(view, RULES, DELIVERED, spoken, ())
    assert not imbalance_is_due(view, RULES, METERING_DEADLINE - 1, statements((PRODUCER,)), ())


# ------------------------------------------------------------ tokens


def test_decide__settled_with_nothing_to_draw__finished():
    assert decided(auction(settled=MEMBERS), DELIVERED) == Decision(AUCTION, "settled", finished=True)


def sold_and_bought() -> AuctionView:
    """The producer injects 100 Wh, 30 of them beyond what it sold; the consumer buys all the rest."""
    view = auction(settled=MEMBERS)
    view.settled[PRODUCER] = settled_with("solar", injected=100, unmatched=30)
    view.settled[CONSUMER] = settled_with(bought=70)
    return view


def test_decide__tokens_to_draw__draws_them_for_those_who_get_any():
    view = sold_and_bought()
    assert decided(view, DELIVERED).action == DrawTokens(AUCTION, (PRODUCER, CONSUMER))
    view.drawn.add(PRODUCER)
    assert decided(view, DELIVERED).action == DrawTokens(AUCTION, (CONSUMER,))


def test_decide__all_drawn__finished():
    view = sold_and_bought()
    view.drawn = {PRODUCER, CONSUMER}
    assert decided(view, DELIVERED).finished


def test_matched_by_source__deliveries__what_was_sold_of_what_was_injected():
    assert matched_by_source(sold_and_bought()) == {SOURCES["solar"]: 70}


def test_entitled_members__source_without_tokens__nobody():
    view = auction(settled=MEMBERS)
    view.settled[PRODUCER] = settled_with("none", injected=100, bought=0)
    view.settled[CONSUMER] = settled_with(bought=70)
    assert entitled_members(view) == []


def test_entitled_members__share_below_one_token__left_out():
    view = auction(settled=MEMBERS)
    view.settled[PRODUCER] = settled_with("wind", injected=2)
    view.settled[CONSUMER] = settled_with(bought=2)
    view.settled[RETAILER] = settled_with(bought=9)
    assert entitled_members(view) == [RETAILER]  # 2 * 2 // 11 is nothing, 2 * 9 // 11 is one


def test_entitled_members__deemed_reading__injected_nothing():
    view = auction(settled=MEMBERS)
    view.settled[PRODUCER] = Settled(PRODUCER, Evidence.DEEMED, SOURCES["solar"], 0, -5, 0, 0, readings=())
    view.settled[CONSUMER] = settled_with(bought=5)
    assert entitled_members(view) == []


# ------------------------------------------------------------ always


@given(
    bidders=st.sets(st.sampled_from(MEMBERS)),
    stage=st.sampled_from(["uncleared", "cleared", "priced", "settled"]),
    reported=st.sets(st.sampled_from(MEMBERS)),
    settled=st.sets(st.sampled_from(MEMBERS)),
    substitutable=st.sets(st.sampled_from(MEMBERS)),
    moment=st.sampled_from(
        [CLOSURE, CLEARING_DEADLINE, DELIVERED, METERING_DEADLINE, SUBSTITUTE_DEADLINE, DEEMED_FROM]
    ),
    offset=st.integers(-1, 1),
)
def test_decide__any_state__finished_has_no_action_and_an_action_is_of_this_auction(
    bidders, stage, reported, settled, substitutable, moment, offset
):
    done = settled & bidders if stage == "settled" else ()
    view = auction(bidders, cleared=stage != "uncleared", priced=stage == "priced", settled=done)
    spoken, now = (reported & bidders) - view.settled.keys(), moment + offset
    decision = decided(view, now, spoken, substitutable)
    assert decision.auction == AUCTION
    assert decision.reason
    assert not (decision.finished and decision.action)
    if decision.action:
        assert decision.action.auction == AUCTION
    if isinstance(decision.action, Settle):
        assert decision.action.members
        assert set(decision.action.members) <= set(view.unsettled)
    for action in decision.actions:
        if isinstance(action, PostSubstitutes):
            assert METERING_DEADLINE <= now < SUBSTITUTE_DEADLINE
            assert set(action.members) == (set(view.unsettled) & substitutable) - spoken
