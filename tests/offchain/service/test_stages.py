"""A view of the market in numbers."""

from dataclasses import replace

import pytest

from clearwatt.bids import Bid, Step
from clearwatt.chain.deployment import Schedule
from clearwatt.chain.market import PRICES, AuctionView, MarketRules, MarketView, Report
from clearwatt.chain.node import Reference
from clearwatt.grid import Grid, Line
from clearwatt.service import metrics
from clearwatt.service.stages import open_disputes, show_market, stage_of

PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2))
SCHEDULE = Schedule(genesis=1_000_000, slots=2)
RULES = MarketRules(SCHEDULE, Grid((-1, 0), (Line(), Line())), -500, 4_000, 8, PRODUCER, CONSUMER)
GATE, DEADLINE, DELIVERED = SCHEDULE.gate_closure(0), SCHEDULE.clearing_deadline(0), SCHEDULE.delivery_end(0)


def auction(number: int = 0, **fields: object) -> AuctionView:
    bids = {member: Bid(member, 1, (Step(0, 5, 100),)) for member in (PRODUCER, CONSUMER)}
    return replace(AuctionView(number, bids), **fields)  # type: ignore[arg-type]


def priced(final_from: int, **fields: object) -> AuctionView:
    return auction(prices=b"", imbalance=b"", by_quorum=True, reports={PRICES: Report(final_from)}, **fields)


@pytest.mark.parametrize(
    ("view", "now", "stage"),
    [
        (auction(), GATE - 1, "open"),
        (auction(), GATE, "uncleared"),
        (auction(), DEADLINE, "void"),
        (auction(bids={}), GATE - 1, "open"),
        (auction(bids={}), GATE, "empty"),
        (auction(bids={}), DELIVERED, "empty"),
        (auction(prices=b""), GATE, "cleared"),
        (auction(prices=b""), DELIVERED - 1, "cleared"),
        (auction(prices=b""), DELIVERED, "delivered"),
        (priced(DELIVERED + 10), DELIVERED + 9, "disputable"),
        (priced(DELIVERED + 10), DELIVERED + 10, "settling"),
        (priced(DELIVERED, settled={PRODUCER: None}), DELIVERED, "settling"),
        (priced(DELIVERED, settled={PRODUCER: None, CONSUMER: None}), DELIVERED, "settled"),
        (auction(prices=b"", imbalance=b""), DELIVERED, "settling"),
    ],
)
def test_stage_of__at_each_of_its_times__as_the_schedule_has_it(
    view: AuctionView, now: int, stage: str
) -> None:
    assert stage_of(view, RULES, now) == stage
    assert stage in metrics.STAGES


def test_open_disputes__disputed_and_not_decided_in_time__only_while_it_can_be() -> None:
    reports = {PRICES: Report(50, disputed=True), PRODUCER: Report(80, disputed=True), CONSUMER: Report(90)}
    assert open_disputes([auction(reports=reports)], 49) == 2
    assert open_disputes([auction(reports=reports)], 50) == 1
    assert open_disputes([auction(reports=reports)], 80) == 0


def test_show_market__void_auction_half_released__counted_with_its_locks() -> None:
    view = MarketView(Reference(7, "0x07", DEADLINE), slots=2)
    view.auctions = {0: auction(released={PRODUCER}), 90: auction(90)}
    show_market(view, RULES)
    value = metrics.REGISTRY.get_sample_value
    assert value("clearwatt_auctions", {"stage": "void"}) == 1
    assert value("clearwatt_auctions", {"stage": "open"}) == 1
    assert value("clearwatt_auctions", {"stage": "settled"}) == 0
    assert value("clearwatt_void_locks") == 1
