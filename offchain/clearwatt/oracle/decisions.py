"""What is to be done about an auction, derived from the chain and the statements at hand.

Pure functions: the same view, time and statements give the same actions, so it does not matter when the
oracle last ran or what it did then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clearwatt.chain.market import PRICES, AuctionView, MarketRules
from clearwatt.chain.typed_data import Evidence
from clearwatt.metering.statements import Statement

Statements = Mapping[str, Statement]
"""Of one auction, by member, their signatures checked. Where a meter signed several, the one with the smallest digest:
whoever has the same statements picks the same, in whatever order they came."""

Substitutes = Mapping[str, bytes]
"""Packed readings that this oracle would have the quorum report, by member whose meter is silent."""

PATIENCE = 4
"""Imbalance prices wait for substitute readings to be posted for one part in so many of the time the quorum has."""


@dataclass(frozen=True)
class Clear:
    """Solve the auction and have the result accepted."""

    auction: int


@dataclass(frozen=True)
class PostImbalance:
    """Sign and post the imbalance prices."""

    auction: int


@dataclass(frozen=True)
class PostSubstitutes:
    """Sign and post readings in place of these members' silent meters."""

    auction: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class PostFallback:
    """Have imbalance settled at the market's own prices, since no quorum spoke in time."""

    auction: int


@dataclass(frozen=True)
class Settle:
    """Settle these members, on their meters' word or on none."""

    auction: int
    members: tuple[str, ...]
    evidence: Evidence


@dataclass(frozen=True)
class DrawTokens:
    """Mint these members' energy tokens."""

    auction: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """Release these members' locks in a void auction."""

    auction: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Forfeit:
    """Take the deposits of these members, who did not open their sealed bids."""

    auction: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class EnterPositions:
    """Enter the positions of an auction that was cleared in chunks."""

    auction: int


Action = (
    Clear
    | EnterPositions
    | PostImbalance
    | PostSubstitutes
    | PostFallback
    | Settle
    | DrawTokens
    | Release
    | Forfeit
)


@dataclass(frozen=True)
class Decision:
    """What to do about one auction now, and why; no action where there is nothing to do but wait.

    also: what may be done besides, whether or not `action` succeeds: it needs other signatures, or other members.
    """

    auction: int
    reason: str
    action: Action | None = None
    finished: bool = False
    also: tuple[Action, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """All that may be done now, the most urgent first."""
        return (self.action, *self.also) if self.action else ()


def decide(
    view: AuctionView,
    rules: MarketRules,
    now: int,
    statements_of: Callable[[AuctionView], Statements],
    substitutes_of: Callable[[AuctionView], Substitutes] = lambda view: {},
) -> Decision:
    """The next thing to do about one auction.

    now: the chain's time. statements_of, substitutes_of: looked up only for an auction that waits for them.
    """
    schedule, number = rules.schedule, view.number
    if now < schedule.clearing_start(number):
        return Decision(number, _still_open(view, rules, now))
    if not view.cleared and view.bids:
        return _uncleared(view, rules, now)
    if view.sealed:
        unopened = tuple(sorted(view.sealed))
        return Decision(number, f"{len(unopened)} sealed bids were not opened", Forfeit(number, unopened))
    if not view.bids:
        return Decision(number, "nobody bids in it", finished=True)
    if view.unentered:
        reason = f"cleared in chunks, positions of {len(view.unentered)} to enter"
        return Decision(number, reason, EnterPositions(number))
    if now < schedule.delivery_end(number):
        return Decision(number, f"cleared, delivery ends in {schedule.delivery_end(number) - now} s")
    if view.imbalance_final_from is not None and not view.unsettled:
        return _settled(view)
    statements = statements_of(view)
    due = substitutes_due(view, rules, now, statements, substitutes_of)
    if view.imbalance_final_from is None:
        return _without_imbalance_prices(view, rules, now, statements, due)
    if now < view.imbalance_final_from:
        return _not_final(view, now, due)
    return _unsettled(view, rules, now, statements, due)


def substitutes_due(
    view: AuctionView,
    rules: MarketRules,
    now: int,
    statements: Statements,
    substitutes_of: Callable[[AuctionView], Substitutes],
) -> tuple[str, ...]:
    """Members for whom a reading is to be reported now: their meters are late, and there is something to go by."""
    schedule, number = rules.schedule, view.number
    if not schedule.metering_deadline(number) <= now < schedule.substitute_deadline(number):
        return ()
    silent = [
        member for member in view.unsettled if member not in statements and member not in view.substitutes
    ]
    found = substitutes_of(view) if silent else {}
    return tuple(member for member in silent if member in found)


def imbalance_is_due(
    view: AuctionView, rules: MarketRules, now: int, statements: Statements, due: Sequence[str]
) -> bool:
    """Whether imbalance prices are to be reported now.

    All meters have spoken; or they had their time, and so had the quorum to post what takes the silent ones' place.
    """
    schedule, number = rules.schedule, view.number
    if all(member in statements for member in view.bids):
        return True
    patience = schedule.substitute_window // PATIENCE if due else 0
    return now >= schedule.metering_deadline(number) + patience


def _still_open(view: AuctionView, rules: MarketRules, now: int) -> str:
    """Before the auction can be cleared: how it stands."""
    count = f"{len(view.bids)} bids" + (f", {len(view.sealed)} sealed ones" if rules.schedule.sealed else "")
    left = rules.schedule.gate_closure(view.number) - now
    if left > 0:
        return f"{count}, the gate is open for {left} s more"
    return f"{count}, these can be opened for {rules.schedule.clearing_start(view.number) - now} s more"


def _uncleared(view: AuctionView, rules: MarketRules, now: int) -> Decision:
    number = view.number
    if now < rules.schedule.clearing_deadline(number):
        return Decision(number, f"the gate is closed on {len(view.bids)} bids", Clear(number))
    locked = tuple(member for member in view.bids if member not in view.released)
    if locked:
        return Decision(
            number, f"void: not cleared in time, {len(locked)} locks to release", Release(number, locked)
        )
    if view.sealed:
        unopened = tuple(sorted(view.sealed))
        return Decision(
            number, f"void, {len(unopened)} sealed bids were not opened", Forfeit(number, unopened)
        )
    return Decision(number, "void, all locks released", finished=True)


def _without_imbalance_prices(
    view: AuctionView, rules: MarketRules, now: int, statements: Statements, due: tuple[str, ...]
) -> Decision:
    """What imbalance costs is known once the meters have spoken; it is not waited for the silent ones for ever."""
    number = view.number
    if now >= rules.schedule.substitute_deadline(number):
        return Decision(number, "delivered, the quorum's time is over", PostFallback(number))
    missing = len([member for member in view.bids if member not in statements])
    if imbalance_is_due(view, rules, now, statements, due):
        also = (PostSubstitutes(number, due),) if due else ()
        heard = f"{missing} meters are late" if missing else "all meters have spoken"
        return Decision(number, f"delivered, {heard}", PostImbalance(number), also=also)
    if due:
        reason = f"delivered, {missing} meters are late, {len(due)} of them can be substituted"
        return Decision(number, reason, PostSubstitutes(number, due))
    left = rules.schedule.metering_deadline(number) - now
    return Decision(number, f"delivered, waiting for {missing} meters, at most {left} s more")


def _not_final(view: AuctionView, now: int, due: tuple[str, ...]) -> Decision:
    report = view.reports[PRICES]
    left = report.final_from - now
    if due:
        reason = f"{len(due)} late meters can be substituted while imbalance prices are not final"
        return Decision(view.number, reason, PostSubstitutes(view.number, due))
    if report.disputed:
        return Decision(view.number, f"imbalance prices are disputed, the owner has {left} s more to decide")
    return Decision(view.number, f"imbalance prices can be disputed for {left} s more")


def _unsettled(
    view: AuctionView, rules: MarketRules, now: int, statements: Statements, due: tuple[str, ...]
) -> Decision:
    """Each member on the best evidence there is: its meter's, the quorum's once it is final, nobody's in the end."""
    number = view.number
    reported = tuple(member for member in view.unsettled if member in statements)
    others = [member for member in view.unsettled if member not in statements]
    substituted = tuple(member for member in others if _has_final_substitute(view, member, now))
    silent = tuple(member for member in others if member not in view.substitutes)
    deemed_from = rules.schedule.deemed_from(number)
    also = (PostSubstitutes(number, due),) if due else ()
    if silent and now >= deemed_from:
        # before those with a statement: should one of these be refused, the silent ones need not wait for it
        reason = f"{len(silent)} meters stayed silent: deemed readings"
        return Decision(number, reason, Settle(number, silent, Evidence.DEEMED))
    if substituted:
        reason = f"{len(substituted)} members have a substitute reading"
        return Decision(number, reason, Settle(number, substituted, Evidence.SUBSTITUTE), also=also)
    if reported:
        reason = f"{len(reported)} of {len(view.unsettled)} unsettled members have a statement"
        return Decision(number, reason, Settle(number, reported, Evidence.METER), also=also)
    if due:
        reason = f"{len(due)} late meters can be substituted"
        return Decision(number, reason, PostSubstitutes(number, due))
    return Decision(number, f"waiting for {len(others)} statements, at most {deemed_from - now} s more")


def _has_final_substitute(view: AuctionView, member: str, now: int) -> bool:
    return member in view.substitutes and view.reports[member].is_final(now)


def _settled(view: AuctionView) -> Decision:
    entitled = tuple(member for member in entitled_members(view) if member not in view.drawn)
    if entitled:
        return Decision(
            view.number, f"{len(entitled)} members have tokens to draw", DrawTokens(view.number, entitled)
        )
    return Decision(view.number, "settled", finished=True)


def entitled_members(view: AuctionView) -> Sequence[str]:
    """Members of a settled auction who get at least one token."""
    bought = sum(settled.bought for settled in view.settled.values())
    matched = matched_by_source(view)
    return [
        member
        for member, settled in view.settled.items()
        if settled.unmatched or any(total * settled.bought // bought for total in matched.values() if bought)
    ]


def matched_by_source(view: AuctionView) -> dict[int, int]:
    """Wh sold and delivered, by source; sources that earn no tokens are left out."""
    matched: dict[int, int] = {}
    for settled in view.settled.values():
        if settled.source:
            injected = sum(max(reading, 0) for reading in settled.readings)
            matched[settled.source] = matched.get(settled.source, 0) + injected - settled.unmatched
    return matched
