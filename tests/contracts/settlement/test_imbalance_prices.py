"""Imbalance prices: what the quorum must sign, what bounds it, and what applies when it stays silent."""

from collections.abc import Callable
from typing import Any

import pytest

from clearwatt.chain import codec, typed_data
from tests.contracts.community import ZERO_ADDRESS, Community, key_of
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal


def answer(
    day: Day, prices: bytes, signatures: bytes, cleared: bytes | None = None, auction: int = 0
) -> Refusal | None:
    arguments = (auction, cleared or day.packed_prices, prices, signatures)
    return refusal(day.market.settlement.postImbalance, *arguments, sender=day.market.owner)


@pytest.fixture
def prices(delivered_day: Day) -> bytes:
    return delivered_day.market.imbalance(delivered_day.claim)


@pytest.fixture
def sign(delivered_day: Day, prices: bytes) -> Callable[..., list[bytes]]:
    """Signatures of these prices by these keys, in that order; by default the whole quorum's, ascending."""
    market = delivered_day.market

    def signatures(keys: Any = market.oracles, **changes: Any) -> list[bytes]:
        parts = {
            "chain_id": market.chain_id,
            "quorum": market.quorum.address,
            "term": market.term,
            "auction": 0,
            "prices": prices,
        }
        message = typed_data.imbalance_prices(**parts | changes)
        return [typed_data.sign(key, message) for key in keys]

    return signatures


def test_post_imbalance__quorum_signed__kept_and_logged(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]], stranger: Any
) -> None:
    settlement = delivered_day.market.settlement
    sent = (0, delivered_day.packed_prices, prices, b"".join(sign()[:2]))
    [event] = settlement.postImbalance(*sent, sender=stranger).decode_logs(settlement.ImbalancePricesPosted)
    assert (event.auction, event.byQuorum, bytes(event.imbalancePrices)) == (0, True, prices)
    again = refusal(settlement.postImbalance, *sent, sender=stranger)
    assert again == ("AlreadyReported", 0, ZERO_ADDRESS)


@pytest.mark.parametrize("chosen", [(0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_post_imbalance__any_quorum__accepted(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]], chosen: tuple[int, ...]
) -> None:
    assert answer(delivered_day, prices, b"".join(sign()[index] for index in chosen)) is None


def test_post_imbalance__too_few_or_malformed__refused(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]]
) -> None:
    first, second, _ = sign()
    assert answer(delivered_day, prices, first) == ("TooFewSignatures", 1, 2)
    assert answer(delivered_day, prices, b"") == ("TooFewSignatures", 0, 2)
    assert answer(delivered_day, prices, first + second[:-1]) == ("MalformedSignatures", 129)


def test_post_imbalance__signers_out_of_order_or_twice__refused(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]]
) -> None:
    first, second, _ = sign()
    oracles = delivered_day.market.oracles
    assert answer(delivered_day, prices, second + first) == ("SignersNotAscending", oracles[0].address)
    assert answer(delivered_day, prices, first + first) == ("SignersNotAscending", oracles[0].address)


def test_post_imbalance__not_an_oracle__refused(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]]
) -> None:
    outsider = key_of("nobody the quorum knows")
    keys = sorted((delivered_day.market.oracles[0], outsider), key=lambda key: int(key.address, 16))
    assert answer(delivered_day, prices, b"".join(sign(keys))) == ("NotASigner", outsider.address)


@pytest.mark.parametrize(
    "change",
    [
        {"auction": 1},
        {"chain_id": 1},
        {"quorum": "0x" + 40 * "1"},
        {"prices": bytes(96)},
        {"term": typed_data.QuorumTerm(1, bytes(32))},
    ],
    ids=["other auction", "other chain", "other contract", "other prices", "other quorum"],
)
def test_post_imbalance__signed_for_something_else__refused(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]], change: dict[str, Any]
) -> None:
    refused = answer(delivered_day, prices, b"".join(sign(**change)))
    # whose keys these signatures recover to is chance, and so is their order
    assert refused
    assert refused[0] in ("NotASigner", "SignersNotAscending")


@pytest.mark.parametrize(
    ("surplus", "shortage"), [(10_001, 10_001), (9_999, 9_999), (-50_001, 10_000), (10_000, 400_001)]
)
def test_post_imbalance__order_of_prices_broken__refused(
    delivered_day: Day, sign: Callable[..., list[bytes]], surplus: int, shortage: int
) -> None:
    table = [list(row) for row in delivered_day.claim.prices]
    low, high = [row.copy() for row in table], [row.copy() for row in table]
    assert table[2][3] == 10_000
    low[2][3], high[2][3] = surplus, shortage
    prices = codec.pack_imbalance(low, high)
    refused = answer(delivered_day, prices, b"".join(sign(prices=prices)))
    assert refused == ("ImbalanceOutOfOrder", 2, 3, surplus, 10_000, shortage)


def test_post_imbalance__equal_to_the_price_or_at_the_bounds__accepted(
    delivered_day: Day, sign: Callable[..., list[bytes]]
) -> None:
    table = delivered_day.claim.prices
    bounds = [[[bound] * 4 for _ in range(4)] for bound in (-50_000, 400_000)]
    for low, high in ((table, table), bounds):
        prices = codec.pack_imbalance(low, high)
        assert answer(delivered_day, prices, b"".join(sign(prices=prices))) is None


def test_post_imbalance__wrong_length_or_wrong_cleared_prices__refused(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]]
) -> None:
    signatures = b"".join(sign())
    assert answer(delivered_day, prices[:-1], signatures) == ("MalformedImbalance", 95, 96)
    other = codec.pack_prices(delivered_day.with_price(0, 0, 1).prices)
    assert answer(delivered_day, prices, signatures, cleared=other) == ("PricesMismatch", 0)


def test_post_imbalance__not_cleared__refused(
    delivered_day: Day, prices: bytes, sign: Callable[..., list[bytes]]
) -> None:
    delivered_day.market.travel(delivered_day.market.config.schedule.delivery_end(1))
    answered = answer(delivered_day, prices, b"".join(sign(auction=1)), auction=1)
    assert answered == ("NotCleared", 1)


def test_post_fallback__a_report_stands__refused(delivered_day: Day, stranger: Any) -> None:
    market = delivered_day.market
    market.post_imbalance(0, delivered_day.claim)
    market.travel(market.config.schedule.substitute_deadline(0))
    sent = (0, delivered_day.packed_prices)
    assert refusal(market.settlement.postFallback, *sent, sender=stranger) == ("ReportStands", 0)


def test_post_fallback__quorum_silent__market_prices_apply_from_the_deadline(
    delivered_day: Day, stranger: Any
) -> None:
    market, settlement = delivered_day.market, delivered_day.market.settlement
    deadline = market.config.schedule.substitute_deadline(0)
    market.travel(deadline - 1)
    sent = (0, delivered_day.packed_prices)
    assert refusal(settlement.postFallback, *sent, sender=stranger) == ("TooEarlyFor", 2, deadline)
    market.travel(deadline)
    assert refusal(settlement.postFallback, 0, bytes(48), sender=stranger) == ("PricesMismatch", 0)
    [event] = settlement.postFallback(*sent, sender=stranger).decode_logs(settlement.ImbalancePricesPosted)
    prices = delivered_day.claim.prices
    assert (event.byQuorum, bytes(event.imbalancePrices)) == (False, codec.pack_imbalance(prices, prices))
    assert refusal(settlement.postFallback, *sent, sender=stranger) == ("FallbackPosted", 0)


def test_post_fallback__not_cleared__refused(market: Community, stranger: Any) -> None:
    market.travel(market.config.schedule.substitute_deadline(5))
    assert refusal(market.settlement.postFallback, 5, bytes(48), sender=stranger) == ("NotCleared", 5)
