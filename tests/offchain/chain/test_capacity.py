"""What is thought to fit one transaction: never more than the two limits allow."""

import pytest

from clearwatt.bids import Bid, Step
from clearwatt.chain import codec
from clearwatt.chain.capacity import MAX_CALLDATA, MAX_GAS, Auctions
from clearwatt.clearing.auction import Marginal


def test_calldata__everything_at_the_margin__as_long_as_what_is_packed() -> None:
    prices = codec.pack_prices([[1] * 3] * 2)
    marginals = codec.pack_marginals(
        Marginal(zone, slot, side, 1, 1) for zone in range(2) for slot in range(3) for side in ("sell", "buy")
    )
    bids = codec.pack_bids(
        Bid(f"0x{number:040x}", 0, tuple(Step(slot, 1, 1) for slot in range(3))) for number in range(5)
    )
    assert Auctions(2, 3).calldata(5, 15) == len(prices + marginals + bids)


@pytest.mark.parametrize(("zones", "slots", "max_steps"), [(1, 1, 1), (4, 4, 8), (4, 96, 192), (20, 96, 500)])
def test_most_members__bundles_full__fit_and_one_more_does_not(
    zones: int, slots: int, max_steps: int
) -> None:
    auctions = Auctions(zones, slots)
    most = auctions.most_members(max_steps)
    assert auctions.fit(most, most * max_steps)
    assert not auctions.fit(most + 1, (most + 1) * max_steps)


def test_most_members__not_even_one_fits__one_all_the_same() -> None:
    assert Auctions(1024, 96).most_members(192) == 1


def test_fit__each_limit_by_itself__refused() -> None:
    auctions = Auctions(4, 96)
    assert auctions.calldata(2_000, 0) <= MAX_CALLDATA
    assert auctions.gas(2_000, 0) > MAX_GAS
    assert not auctions.fit(2_000, 0)
    small = Auctions(1, 4)
    assert small.gas(1, 16_500) <= MAX_GAS
    assert small.calldata(1, 16_500) > MAX_CALLDATA
    assert not small.fit(1, 16_500)
