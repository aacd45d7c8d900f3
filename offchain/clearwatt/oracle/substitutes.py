"""Readings in place of a silent meter: from what it did send if that is enough, else from like days before.

Pure functions of the chain and the *set* of signed messages at hand, so that oracles with the same say the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from eth_utils import keccak

from clearwatt.chain import codec
from clearwatt.chain.deployment import Schedule
from clearwatt.chain.market import AuctionView, MarketRules, MarketView
from clearwatt.chain.typed_data import Evidence
from clearwatt.metering import vee
from clearwatt.metering.messages import Message, readings_of
from clearwatt.metering.points import PointConfig, points_of
from clearwatt.metering.readings import ReadingsMessage

DAY_SECONDS = 86_400
LIKE_DAYS_BACK = 28
LEAST_LIKE_DAYS = 3
"""Fewer like days than this say nothing: the protocol's deemed reading is left to apply."""

SATURDAY = 5
LARGEST_READING = 2**31

READINGS, LIKE_DAYS = "readings", "like days"

Readings = Callable[[Sequence[str], int, int], Iterable[Message]]
"""Verified readings messages of these points that say something of [first, last), Unix seconds, in any order."""


@dataclass(frozen=True)
class Substitute:
    """What is reported in place of a meter.

    readings: packed as `codec.pack_readings`. rule: READINGS or LIKE_DAYS. basis: 32 bytes that stand for what it was
    derived from.
    """

    readings: bytes
    rule: str
    basis: bytes


def substitutes_for(
    view: MarketView,
    auction: AuctionView,
    rules: MarketRules,
    members: Iterable[str],
    points: Mapping[str, PointConfig],
    readings: Readings,
) -> dict[str, Substitute]:
    """A substitute for each of these members of whom there is enough to go by, and whose has not fallen in a dispute.

    points: by identifier; a member without any has the one net point that is called like its address.
    """
    found = {}
    for member in members:
        own = points_of(points, member)
        if not own and member in view.meters:
            own = [PointConfig.of_member(member, view.meters[member])]
        substitute = from_readings(auction, rules.schedule, own, readings) or from_like_days(
            view, auction, rules.schedule, member
        )
        if substitute and substitute.readings not in auction.fallen.get(member, ()):
            found[member] = substitute
    return found


def from_readings(
    auction: AuctionView, schedule: Schedule, points: Sequence[PointConfig], readings: Readings
) -> Substitute | None:
    """By validation and estimation of what the meter sent; None if it sent nothing of these slots, or not enough."""
    if not points:
        return None
    first, last = schedule.delivery_start(auction.number), schedule.delivery_end(auction.number)
    sent = _by_point(
        points, readings([p.point for p in points], vee.history_start(first), vee.history_end(last))
    )
    series = vee.member_net(sent, points, first, last, schedule.slot_seconds)
    if not series.complete or not series.measured.any():
        return None
    digests = sorted(message.digest for messages in sent.values() for message in messages)
    return _substitute(series.values.tolist(), READINGS, b"".join(digests))


def _by_point(points: Sequence[PointConfig], messages: Iterable[Message]) -> dict[str, list[ReadingsMessage]]:
    found: dict[str, list[ReadingsMessage]] = {point.point: [] for point in points}
    for message in messages:
        content = readings_of(message)
        found[content.point].append(content)
    return found


def from_like_days(
    view: MarketView, auction: AuctionView, schedule: Schedule, member: str
) -> Substitute | None:
    """Per slot the median of the same slot on like days, as the chain settled it on the meter's own word.

    Like days are the weekdays, or the Saturdays and Sundays, of the four weeks before, in UTC. None where a slot has
    fewer than LEAST_LIKE_DAYS.
    """
    start = schedule.delivery_start(auction.number)
    slots = [
        _like_readings(view, schedule, member, start + slot * schedule.slot_seconds)
        for slot in range(schedule.slots)
    ]
    if any(len(slot) < LEAST_LIKE_DAYS for slot in slots):
        return None
    return _substitute([_median(slot) for slot in slots], LIKE_DAYS, repr(slots).encode())


def _like_readings(view: MarketView, schedule: Schedule, member: str, start: int) -> list[int]:
    """Wh, the youngest first."""
    days = (start - back * DAY_SECONDS for back in range(1, LIKE_DAYS_BACK + 1))
    found = (
        _settled_reading(view, schedule, member, day)
        for day in days
        if _is_weekend(day) == _is_weekend(start)
    )
    return [reading for reading in found if reading is not None]


def _settled_reading(view: MarketView, schedule: Schedule, member: str, start: int) -> int | None:
    slot = (start - schedule.genesis) // schedule.slot_seconds
    # days need not be a whole number of slots: then there is no same slot
    if (start - schedule.genesis) % schedule.slot_seconds or slot < 0:
        return None
    auction = view.auctions.get(slot // schedule.slots)
    settled = auction.settled.get(member) if auction else None
    if settled is None or settled.evidence is not Evidence.METER:
        return None
    return settled.readings[slot % schedule.slots]


def _is_weekend(moment: int) -> bool:
    return datetime.fromtimestamp(moment, UTC).weekday() >= SATURDAY


def _median(values: Sequence[int]) -> int:
    """Between the two in the middle, rounded down."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


def _substitute(readings: Sequence[int], rule: str, basis: bytes) -> Substitute | None:
    if any(not -LARGEST_READING <= reading < LARGEST_READING for reading in readings):
        return None
    return Substitute(codec.pack_readings(readings), rule, keccak(basis))
