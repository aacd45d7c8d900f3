"""What a view of the market says in numbers: auctions by stage, locks of void ones, disputes."""

from collections import Counter
from collections.abc import Iterable

from clearwatt.chain.market import AuctionView, MarketRules, MarketView
from clearwatt.service import metrics


def show_market(view: MarketView, rules: MarketRules) -> None:
    """Set the metrics of auctions to what the view says at its block's time."""
    now = view.reference.timestamp
    stages = {number: stage_of(auction, rules, now) for number, auction in view.auctions.items()}
    metrics.AUCTIONS.show(Counter(stages.values()))
    void = [view.auctions[number] for number, stage in stages.items() if stage == "void"]
    metrics.LOCKED.set(sum(len(auction.bids.keys() - auction.released) for auction in void))
    metrics.DISPUTES.set(open_disputes(view.auctions.values(), now))


def stage_of(auction: AuctionView, rules: MarketRules, now: int) -> str:
    """One of `metrics.STAGES`. now: the chain's time."""
    schedule, number = rules.schedule, auction.number
    if auction.cleared:
        return _stage_of_cleared(auction, now, schedule.delivery_end(number))
    if now < schedule.clearing_start(number):
        return "open"
    if not auction.bids:
        return "empty"
    return "uncleared" if now < schedule.clearing_deadline(number) else "void"


def _stage_of_cleared(auction: AuctionView, now: int, delivery_end: int) -> str:
    if now < delivery_end:
        return "cleared"
    if auction.imbalance_final_from is None:
        return "delivered"
    if now < auction.imbalance_final_from:
        return "disputable"
    return "settling" if auction.unsettled else "settled"


def open_disputes(auctions: Iterable[AuctionView], now: int) -> int:
    """Reports that the owner can still decide about."""
    reports = (report for auction in auctions for report in auction.reports.values())
    return sum(report.disputed and not report.is_final(now) for report in reports)
