import numpy as np
import pytest

from clearwatt.bids import Step
from clearwatt.community.agents import member_steps, retailer_steps
from clearwatt.community.tariff import Tariff
from clearwatt.errors import UserError
from clearwatt.forecast.seasonal import likely_range

TARIFF = Tariff((30_000,), (8_000,))
MIDDLE = 19_000


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (-500, -200, [(30_000, -200), (MIDDLE, -300)]),
        (-500, 0, [(MIDDLE, -500)]),
        (-500, 300, [(MIDDLE, -500), (MIDDLE, 300)]),
        (200, 500, [(MIDDLE, 300), (8_000, 200)]),
        (400, 400, [(8_000, 400)]),
        (-400, -400, [(30_000, -400)]),
        (0, 0, []),
    ],
)
def test_member_steps__likely_range__certain_part_at_any_price_the_rest_at_the_middle(low, high, steps):
    assert member_steps([low], [high], TARIFF) == tuple(Step(0, *step) for step in steps)


def test_member_steps__several_slots__ascending_with_each_slots_own_tariff():
    tariff = Tariff((30_000, 22_000), (8_000, 8_000))
    assert member_steps([-10, -10], [-10, -10], tariff) == (Step(0, 30_000, -10), Step(1, 22_000, -10))


def test_member_steps__real_day__two_steps_a_slot_at_most(community):
    low, high = likely_range(community.history(172))
    tariff = Tariff.parse()
    for least, most in zip(low.tolist(), high.tolist(), strict=True):
        slots = [step.slot for step in member_steps(least, most, tariff)]
        assert slots == sorted(slots)
        assert np.bincount(slots, minlength=96).max() <= 2


def test_retailer_steps__lines_with_fees__tariff_is_what_members_pay():
    assert retailer_steps(TARIFF, 500, network_fee=1_000) == (Step(0, 29_000, 500), Step(0, 9_000, -500))


def test_retailer_steps__fees_above_the_margin__refused():
    with pytest.raises(UserError, match="eat up the retailer's whole margin"):
        retailer_steps(TARIFF, 500, network_fee=11_001)


def test_retailer_steps__two_slots__sells_dear_and_buys_cheap_in_each():
    tariff = Tariff((30_000, 22_000), (8_000, -1_000))
    assert retailer_steps(tariff, 500) == (
        Step(0, 30_000, 500),
        Step(0, 8_000, -500),
        Step(1, 22_000, 500),
        Step(1, -1_000, -500),
    )
