"""Clearing with an honest result: accepted from anyone, once, and exactly what the twin derives."""

from typing import Any

import pytest

from clearwatt.chain import codec
from tests.contracts.community import ZERO_ADDRESS, Community
from tests.contracts.day import Day
from tests.contracts.market.records import POSITION, digest, record_of
from tests.contracts.refusals import refusal


def test_clear__stranger_sends_the_optimum__accepted_and_logged(closed_day: Day, stranger: Any) -> None:
    market = closed_day.market
    receipt = closed_day.clear(sender=stranger)
    [event] = receipt.decode_logs(market.clearing.Cleared)
    assert (event.auction, event.solver) == (0, stranger)
    assert event.networkIncome == closed_day.income() == 20_000 * 3_000
    assert bytes(event.prices) == codec.pack_prices(closed_day.claim.prices)
    assert bytes(event.marginals) == codec.pack_marginals(closed_day.claim.marginals)
    assert market.market.auctionOf(0).cleared
    assert market.vault.accountOf(market.config.network_account).balance == 20_000 * 3_000
    assert market.vault.clearingAccount() == -20_000 * 3_000
    market.assert_money_conserved()


def test_clear__accepted__records_hold_the_positions_and_locks_stay(closed_day: Day) -> None:
    market = closed_day.market
    locked = {p.address: market.vault.accountOf(p.address).locked for p in market.participants}
    closed_day.clear()
    for participant in market.participants:
        record = record_of(market, 0, participant)
        assert record.stage == POSITION
        assert record.digest == digest(codec.pack_position(closed_day.position(participant)))
        assert (
            record.lock == locked[participant.address] == market.vault.accountOf(participant.address).locked
        )


def test_clear__second_time__refused(closed_day: Day) -> None:
    closed_day.clear()
    assert closed_day.refusal() == ("AlreadyCleared", 0)


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("accept", (0, bytes(32), b"")),
        ("acceptChunked", (0, bytes(32))),
        ("enterPositions", (0, bytes(52))),
        ("spend", (0, bytes(84))),
        ("draw", (0, ZERO_ADDRESS, bytes(32))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_record__advanced_by_stranger__refused(
    closed_day: Day, stranger: Any, action: str, arguments: tuple[Any, ...]
) -> None:
    method = getattr(closed_day.market.market, action)
    for sender in (stranger, closed_day.market.owner):
        answer = refusal(method, *arguments, sender=sender)
        assert answer == ("NotConnectedCaller", sender.address)


def test_connect__second_time_or_stranger__refused(market: Community, stranger: Any) -> None:
    connect = market.market.connect
    assert refusal(connect, stranger, stranger, sender=market.owner) == ("AlreadyConnected",)
    assert refusal(connect, stranger, stranger, sender=stranger) == ("NotConnectedCaller", stranger.address)


def test_connect__nobody_named__refused(project: Any, market: Community, stranger: Any) -> None:
    another = market.owner.deploy(project.Market, market.registry, market.vault)
    for named in [(ZERO_ADDRESS, stranger), (stranger, ZERO_ADDRESS)]:
        answer = refusal(another.connect, *named, sender=market.owner)
        assert answer == ("NotConnectedCaller", ZERO_ADDRESS)
    assert refusal(another.connect, stranger, stranger, sender=market.owner) is None
