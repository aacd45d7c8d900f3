"""Energy tokens: drawn once the whole auction is settled, never more than was metered."""

from typing import Any

import pytest

from clearwatt.chain import codec
from tests.contracts.community import ZERO_ADDRESS, Community, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal

NONE, SOLAR, WIND = 0, 1, 2
# Solar delivers 40 Wh less than it sold in slot 0 and 500 more in slot 2, wind 100 more than its 1000 in slot 3.
DEVIATIONS = {1: (-40, 0, 500, 0), 3: (7, 0, 0, 93)}
SOLAR_MATCHED, SOLAR_UNMATCHED, WIND_MATCHED, WIND_UNMATCHED = 24_460, 500, 1_000, 100
BOUGHT = {0: 20_000, 2: 4_500, 4: 1_000}


@pytest.fixture(scope="module")
def settled_day(delivered_day: Day, imbalance: bytes) -> Day:
    """All but the last participant settled."""
    settle(delivered_day, imbalance, range(4))
    return delivered_day


def settle(day: Day, imbalance: bytes, indices: Any) -> None:
    deliveries = [day.delivery(day.market.participants[i], DEVIATIONS.get(i, (0, 0, 0, 0))) for i in indices]
    day.market.settle(0, imbalance, deliveries)


@pytest.fixture
def drawable(settled_day: Day, imbalance: bytes) -> Day:
    """Everybody settled."""
    settle(settled_day, imbalance, [4])
    return settled_day


def entitlements(market: Community) -> list[tuple[str, int, int, int]]:
    """What settlement has said that each participant may draw."""
    rows = {0: (NONE, 0, 20_000), 1: (SOLAR, SOLAR_UNMATCHED, 0), 2: (NONE, 0, 4_500)}
    rows |= {3: (WIND, WIND_UNMATCHED, 0), 4: (NONE, 0, 1_000)}
    return [(market.participants[index].address, *row) for index, row in rows.items()]


def draw(market: Community, rows: list[tuple[str, int, int, int]]) -> list[Any]:
    receipt = market.settlement.drawTokens(0, rows, sender=market.owner)
    return list(receipt.decode_logs(market.settlement.TokensDrawn))


def answer(market: Community, rows: list[tuple[str, int, int, int]], auction: int = 0) -> Refusal | None:
    return refusal(market.settlement.drawTokens, auction, rows, sender=market.owner)


def test_totals__everybody_settled__what_was_sold_and_delivered(drawable: Day) -> None:
    totals = drawable.market.settlement.totalsOf(0)
    assert (totals.settled, totals.bought) == (5, sum(BOUGHT.values()))
    assert (totals.solar, totals.wind, totals.otherRenewable) == (SOLAR_MATCHED, WIND_MATCHED, 0)


def test_settled_event__says_what_can_be_drawn(drawable: Day) -> None:
    market = drawable.market
    logs = market.settlement.MembersSettled.range(market.chain.blocks.height + 1)
    settled = [one for log in logs for one in codec.unpack_settlements(bytes(log.settlements), 4)]
    assert [(one.member, one.source, one.unmatched, one.bought) for one in settled] == entitlements(market)


def test_draw__before_all_are_settled__refused(settled_day: Day) -> None:
    market = settled_day.market
    assert answer(market, entitlements(market)[:1]) == ("NotAllSettled", 0, 4, 5)


def test_draw__everybody__buyers_share_the_matched_and_producers_keep_the_rest(drawable: Day) -> None:
    market, token = drawable.market, drawable.market.token
    solar, wind = token.idOf(0, SOLAR), token.idOf(0, WIND)
    total = sum(BOUGHT.values())
    events = draw(market, entitlements(market))
    for index, participant in enumerate(market.participants):
        bought = BOUGHT.get(index, 0)
        own_solar, own_wind = SOLAR_UNMATCHED * (index == 1), WIND_UNMATCHED * (index == 3)
        shares = SOLAR_MATCHED * bought // total, WIND_MATCHED * bought // total
        assert token.balanceOf(participant.address, solar) == shares[0] + own_solar
        assert token.balanceOf(participant.address, wind) == shares[1] + own_wind
        assert (events[index].unmatched, events[index].matched) == (own_solar + own_wind, sum(shares))
    metered = SOLAR_MATCHED + SOLAR_UNMATCHED, WIND_MATCHED + WIND_UNMATCHED
    for token_id, injected in zip((solar, wind), metered, strict=True):
        # the shares are rounded down, so at most a Wh for each buyer is never issued
        assert injected - len(BOUGHT) < token.issued(token_id) <= injected


def test_draw__twice__refused(drawable: Day) -> None:
    market = drawable.market
    first = entitlements(market)[0]
    assert answer(market, [first, first]) == ("RecordMismatch", 0, first[0])
    draw(market, [first])
    for again in (first, (first[0], NONE, 0, 0)):
        assert answer(market, [again]) == ("RecordMismatch", 0, first[0])


@pytest.mark.parametrize("column", [1, 2, 3], ids=["source", "unmatched", "bought"])
def test_draw__more_than_entitled__refused(drawable: Day, column: int) -> None:
    market = drawable.market
    row = list(entitlements(market)[1])
    row[column] += 1
    assert answer(market, [tuple(row)]) == ("RecordMismatch", 0, row[0])


def test_draw__not_a_party__refused(drawable: Day, stranger: Any) -> None:
    row = (stranger.address, SOLAR, 0, 0)
    assert answer(drawable.market, [row]) == ("RecordMismatch", 0, stranger.address)


def test_draw__record_used_again__claim_lapsed(drawable: Day, producer: Participant) -> None:
    market = drawable.market
    row = entitlements(market)[1]
    auction = market.config.ring_size
    later = auction * 10
    market.open_gate(later)
    market.bid(producer, later, [(0, 100, 10)])
    assert answer(market, [row]) == ("RecordMismatch", 0, producer.address)


def test_mint__anyone_but_settlement__refused(market: Community, stranger: Any) -> None:
    for caller in (stranger, market.owner):
        answer = refusal(market.token.mint, stranger, 1, 1, sender=caller)
        assert answer == ("NotConnectedCaller", caller.address)


def test_connect__nobody__refused_and_open_to_the_deployer_still(project: Any, owner: Any) -> None:
    token = owner.deploy(project.EnergyToken, "")
    assert refusal(token.connect, ZERO_ADDRESS, sender=owner) == ("NotConnectedCaller", ZERO_ADDRESS)
    assert refusal(token.connect, owner, sender=owner) is None


def test_connect__second_time_or_stranger__refused(market: Community, stranger: Any) -> None:
    connect = market.token.connect
    assert refusal(connect, stranger, sender=market.owner) == ("AlreadyConnected",)
    assert refusal(connect, stranger, sender=stranger) == ("NotConnectedCaller", stranger.address)
