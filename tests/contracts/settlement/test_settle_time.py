"""Nothing is settled before delivery is over and imbalance prices are posted."""

import pytest

from tests.contracts.community import Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal


def answer(day: Day, imbalance: bytes, participant: Participant) -> Refusal | None:
    arguments = (0, imbalance, [day.delivery(participant)])
    return refusal(day.market.settlement.settle, *arguments, sender=day.market.owner)


def test_settle__delivery_not_over__refused_to_the_second(cleared_day: Day, producer: Participant) -> None:
    market = cleared_day.market
    imbalance = market.post_imbalance(0, cleared_day.claim)
    end = market.config.schedule.delivery_end(0)
    market.travel(end - 1)
    assert answer(cleared_day, imbalance, producer) == ("NotDelivered", 0, end)
    market.travel(end)
    assert answer(cleared_day, imbalance, producer) is None


@pytest.mark.parametrize("imbalance", [b"", bytes(96)], ids=["none", "some"])
def test_settle__imbalance_not_posted__refused(
    cleared_day: Day, producer: Participant, imbalance: bytes
) -> None:
    cleared_day.market.travel(cleared_day.market.config.schedule.delivery_end(0))
    assert answer(cleared_day, imbalance, producer) == ("ImbalanceNotPosted", 0)
