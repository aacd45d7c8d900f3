"""The calendar on chain and its counterpart in Python are the same arithmetic."""

import pytest

from tests.contracts.community import Community


@pytest.mark.parametrize("auction", [0, 1, 77, 10**6])
def test_calendar__any_auction__as_in_python(market: Community, auction: int) -> None:
    schedule = market.config.schedule
    for contract in (market.market, market.settlement):
        assert contract.deliveryStart(auction) == schedule.delivery_start(auction)
        assert contract.deliveryEnd(auction) == schedule.delivery_end(auction)
        assert contract.opening(auction) == schedule.opening(auction)
        assert contract.gateClosure(auction) == schedule.gate_closure(auction)
        assert contract.clearingDeadline(auction) == schedule.clearing_deadline(auction)
        assert contract.meteringDeadline(auction) == schedule.metering_deadline(auction)
        assert contract.substituteDeadline(auction) == schedule.substitute_deadline(auction)
