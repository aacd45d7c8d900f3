"""Who is let in, stopped, or given another meter, and by whom."""

from typing import Any

import pytest

from tests.contracts.community import Community, Participant
from tests.contracts.refusals import Refusal, refusal

NOBODY = "0x" + 40 * "0"
METER = "0x" + 40 * "7"


def test_admit__owner__member_known_and_logged(market: Community, stranger: Any) -> None:
    receipt = market.registry.admit(stranger, 3, 2, METER, sender=market.owner)
    [event] = receipt.decode_logs(market.registry.MemberAdmitted)
    assert (event.member, event.zone, event.source, event.meter) == (stranger, 3, 2, METER)
    member = market.registry.memberOf(stranger)
    assert (member.meter, member.zone, member.source, member.active) == (METER, 3, 2, True)


@pytest.mark.parametrize(
    ("member", "zone", "source", "meter", "expected"),
    [
        (NOBODY, 0, 0, METER, ("UnknownMember", NOBODY)),
        (METER, 4, 0, METER, ("UnknownZone", 4)),
        (METER, 0, 4, METER, ("UnknownSource", 4)),
        (METER, 0, 0, NOBODY, ("MeterMissing", METER)),
    ],
    ids=["no member", "no such zone", "no such source", "no meter"],
)
def test_admit__impossible_particulars__refused(
    market: Community, member: str, zone: int, source: int, meter: str, expected: Refusal
) -> None:
    assert refusal(market.registry.admit, member, zone, source, meter, sender=market.owner) == expected


@pytest.mark.parametrize(
    ("action", "more"), [("admit", (0, 0, METER)), ("suspend", ()), ("replaceMeter", (METER,))]
)
def test_registry__stranger__refused(
    market: Community, producer: Participant, stranger: Any, action: str, more: tuple[Any, ...]
) -> None:
    answer = refusal(getattr(market.registry, action), producer.address, *more, sender=stranger)
    assert answer == ("OwnableUnauthorizedAccount", stranger.address)


def test_suspend__member__may_not_bid_until_admitted_again(market: Community, producer: Participant) -> None:
    receipt = market.registry.suspend(producer.address, sender=market.owner)
    assert [event.member for event in receipt.decode_logs(market.registry.MemberSuspended)] == [
        producer.address
    ]
    market.open_gate(0)
    bid = (market.market.bid, 0, b"")
    assert refusal(*bid, sender=producer.account) == ("NotAMember", producer.address)
    market.registry.admit(producer.address, 2, 1, producer.meter.address, sender=market.owner)
    assert refusal(*bid, sender=producer.account) is None


def test_suspend__not_active__refused(market: Community, producer: Participant, stranger: Any) -> None:
    suspend = market.registry.suspend
    assert refusal(suspend, stranger, sender=market.owner) == ("UnknownMember", stranger.address)
    suspend(producer.address, sender=market.owner)
    assert refusal(suspend, producer.address, sender=market.owner) == ("UnknownMember", producer.address)


def test_replace_meter__member__logged_with_both_keys(market: Community, producer: Participant) -> None:
    receipt = market.registry.replaceMeter(producer.address, METER, sender=market.owner)
    [event] = receipt.decode_logs(market.registry.MeterReplaced)
    assert (event.member, event.previous, event.meter) == (producer.address, producer.meter.address, METER)
    assert market.registry.memberOf(producer.address).meter == METER


def test_replace_meter__unknown_or_missing__refused(
    market: Community, producer: Participant, stranger: Any
) -> None:
    replace_meter = market.registry.replaceMeter
    assert refusal(replace_meter, stranger, METER, sender=market.owner) == ("UnknownMember", stranger.address)
    answer = refusal(replace_meter, producer.address, NOBODY, sender=market.owner)
    assert answer == ("MeterMissing", producer.address)


def test_ownership__handed_over__only_when_accepted(market: Community, stranger: Any) -> None:
    market.registry.transferOwnership(stranger, sender=market.owner)
    assert market.registry.owner() == market.owner
    market.registry.acceptOwnership(sender=stranger)
    assert market.registry.owner() == stranger
