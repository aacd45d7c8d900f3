"""What is reported in place of a silent meter."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest
from eth_account import Account

from clearwatt.chain import codec
from clearwatt.chain.codec import Settled
from clearwatt.chain.market import AuctionView, MarketView
from clearwatt.chain.node import Reference
from clearwatt.chain.typed_data import Evidence
from clearwatt.metering.messages import Message, sign_readings
from clearwatt.metering.points import PointConfig
from clearwatt.metering.readings import readings_payload
from clearwatt.oracle.substitutes import LIKE_DAYS, READINGS, Substitute, substitutes_for
from tests.offchain.oracle.markets import PRODUCER, RULES, SCHEDULE
from tests.offchain.oracle.quorums import QUORUM

PER_DAY = 86_400 // (SCHEDULE.slots * SCHEDULE.slot_seconds)
NUMBER = 40 * PER_DAY
METER = Account.from_key(b"\x05" * 32)
START = SCHEDULE.delivery_start(NUMBER)


def market() -> MarketView:
    return MarketView(Reference(1, b"", 0), SCHEDULE.slots, meters={PRODUCER: METER.address})


def settle(view: MarketView, days_ago: int, readings: tuple[int, ...], evidence=Evidence.METER) -> None:
    auction = view.change(NUMBER - days_ago * PER_DAY)
    auction.settled[PRODUCER] = Settled(PRODUCER, evidence, 0, 0, 0, 0, 0, readings)


def sent(values: Sequence[int], start: int = START, moment: int = 0) -> Message:
    rows = [(start + SCHEDULE.slot_seconds * slot, value) for slot, value in enumerate(values)]
    payload = readings_payload(
        chain_id=1,
        settlement=QUORUM,
        point=PRODUCER,
        sent=START + 7_200 + moment,
        unit="Wh",
        interval=900,
        readings=rows,
    )
    return sign_readings(METER, payload)


def found(view: MarketView, messages: Iterable[Message] = (), points=None) -> Substitute | None:
    asked = []

    def readings(names: Sequence[str], first: int, last: int) -> Iterable[Message]:
        asked.append(list(names))
        assert first < START < last
        return messages

    auction = view.auctions.get(NUMBER, AuctionView(NUMBER))
    made = substitutes_for(view, auction, RULES, [PRODUCER], points or {}, readings)
    assert asked == [sorted(points)] if points else [[PRODUCER]]
    return made.get(PRODUCER)


def like_days(count: int) -> list[int]:
    """How many days ago, the youngest first."""
    weekend = datetime.fromtimestamp(START, UTC).weekday() >= 5
    days = range(1, 29)
    return [
        day for day in days if (datetime.fromtimestamp(START - day * 86_400, UTC).weekday() >= 5) == weekend
    ][:count]


# ------------------------------------------------------------ by what the meter sent


def test_substitutes_for__meter_sent_all_readings__these():
    made = found(market(), [sent([500, -3])])
    assert made is not None
    assert (codec.unpack_readings(made.readings), made.rule) == ((500, -3), READINGS)


def test_substitutes_for__corrected__the_later_and_the_same_in_whatever_order_they_came():
    messages = [sent([500, 400], moment=1), sent([7, 8], moment=2)]
    assert found(market(), messages) == found(market(), messages[::-1])
    assert codec.unpack_readings(found(market(), messages).readings) == (7, 8)


def test_substitutes_for__nothing_known__none():
    assert found(market()) is None


def test_substitutes_for__nothing_of_these_slots_sent__not_by_these():
    assert found(market(), [sent([500, 400], START - 86_400)]) is None


def test_substitutes_for__points_of_a_file__all_of_the_members():
    point = PointConfig(point="roof", member=PRODUCER, meter=METER.address)
    assert found(market(), [], {"roof": point}) is None


# ------------------------------------------------------------ by like days


@pytest.mark.parametrize(("days", "expected"), [(2, None), (3, (20, -20)), (4, (25, -25))])
def test_substitutes_for__like_days_settled__their_median_from_three_on(days, expected):
    view = market()
    for index, day in enumerate(like_days(days)):
        settle(view, day, (10 * (index + 1), -10 * (index + 1)))
    made = found(view)
    assert (codec.unpack_readings(made.readings) if made else None) == expected
    assert made is None or made.rule == LIKE_DAYS


def test_substitutes_for__other_days_or_other_evidence_or_too_long_ago__count_for_nothing():
    view = market()
    like = like_days(28)
    for day in set(range(1, 29)) - set(like):
        settle(view, day, (1, 1))
    for day in like:
        settle(view, day, (2, 2), Evidence.SUBSTITUTE)
    for day in range(29, 40):
        settle(view, day, (3, 3))
    assert found(view) is None


def test_substitutes_for__measured_readings_and_like_days__the_meters_own_first():
    view = market()
    for day in like_days(5):
        settle(view, day, (1, 1))
    assert found(view, [sent([500, 400])]).rule == READINGS


def test_substitutes_for__fallen_in_a_dispute__not_again():
    view = market()
    auction = view.change(NUMBER)
    auction.fallen[PRODUCER] = frozenset({codec.pack_readings((500, 400))})
    assert found(view, [sent([500, 400])]) is None
    assert found(view, [sent([500, 401])]) is not None


def test_substitutes_for__more_than_a_reading_holds__none():
    assert found(market(), [sent([2**31, 0])]) is None
