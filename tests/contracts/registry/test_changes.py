"""A member's zone, source and meter change in two steps: announced by the owner, adopted by anyone after the delay."""

from typing import Any

import pytest
from eth_abi import decode

from tests.contracts.community import ZERO_ADDRESS, Community, Participant
from tests.contracts.refusals import Refusal, refusal, returned

METER = "0x" + 40 * "7"
OTHER_METER = "0x" + 40 * "8"
SEATED = 0x8000


def change_of(market: Community, member: str) -> tuple[Any, ...]:
    """Meter, zone, source and time of what is announced for the member."""
    answer = returned(market.registry.changeOf, member)
    assert isinstance(answer, bytes)
    return tuple(decode(["address", "uint16", "uint8", "uint40"], answer))


def announce(
    market: Community, participant: Participant, zone: int = 3, source: int = 2, meter: str = METER
) -> int:
    """When the change can be adopted, by the announcement's event."""
    receipt = market.registry.announce(participant.address, zone, source, meter, sender=market.owner)
    [event] = receipt.decode_logs(market.registry.ChangeAnnounced)
    assert (event.member, event.zone, event.source, event.meter) == (participant.address, zone, source, meter)
    start = int(event.event_arguments["from"])
    assert start == receipt.timestamp + market.config.owner_delay
    return start


def test_announce__owner__kept_and_nothing_changed_yet(market: Community, producer: Participant) -> None:
    before = market.registry.memberOf(producer.address)
    start = announce(market, producer)
    assert change_of(market, producer.address) == (METER, 3, 2, start)
    assert market.registry.memberOf(producer.address) == before
    assert market.vault.accountOf(producer.address).seat == SEATED + 2


def test_adopt__anyone__after_the_delay_to_the_second(
    market: Community, producer: Participant, stranger: Any
) -> None:
    start = announce(market, producer)
    adopt = market.registry.adopt
    market.travel(start - 1)
    assert refusal(adopt, producer.address, sender=market.owner) == ("TooEarly", start)
    market.travel(start)
    assert refusal(adopt, producer.address, sender=stranger) is None
    receipt = adopt(producer.address, sender=stranger)
    [event] = receipt.decode_logs(market.registry.MemberAdmitted)
    assert (event.member, event.zone, event.source, event.meter) == (producer.address, 3, 2, METER)
    member = market.registry.memberOf(producer.address)
    assert (member.meter, member.zone, member.source, member.active) == (METER, 3, 2, True)
    assert market.vault.accountOf(producer.address).seat == SEATED + 3


def test_adopt__once__nothing_left_to_adopt(market: Community, producer: Participant, stranger: Any) -> None:
    adopt = market.registry.adopt
    nothing = ("NothingAnnounced", producer.address)
    assert refusal(adopt, producer.address, sender=stranger) == nothing
    market.travel(announce(market, producer))
    adopt(producer.address, sender=stranger)
    assert change_of(market, producer.address) == (ZERO_ADDRESS, 0, 0, 0)
    assert refusal(adopt, producer.address, sender=stranger) == nothing


def test_announce__again__replaces_the_first_and_starts_the_delay_anew(
    market: Community, producer: Participant
) -> None:
    first = announce(market, producer)
    market.travel(first - 1)
    second = announce(market, producer, zone=1, source=0, meter=OTHER_METER)
    market.travel(first + 1)
    answer = refusal(market.registry.adopt, producer.address, sender=market.owner)
    assert answer == ("TooEarly", second)
    market.travel(second)
    market.registry.adopt(producer.address, sender=market.owner)
    member = market.registry.memberOf(producer.address)
    assert (member.meter, member.zone, member.source) == (OTHER_METER, 1, 0)


def test_adopt__suspended_meanwhile__stays_suspended_with_new_particulars(
    market: Community, producer: Participant
) -> None:
    start = announce(market, producer)
    market.registry.suspend(producer.address, sender=market.owner)
    active = market.registry.activeMembers()
    market.travel(start)
    market.registry.adopt(producer.address, sender=market.owner)
    assert not market.registry.memberOf(producer.address).active
    assert market.vault.accountOf(producer.address).seat == 3
    assert market.registry.activeMembers() == active
    market.registry.reinstate(producer.address, sender=market.owner)
    assert market.vault.accountOf(producer.address).seat == SEATED + 3


@pytest.mark.parametrize(
    ("zone", "source", "meter", "expected"),
    [
        (4, 0, METER, ("UnknownZone", 4)),
        (0, 4, METER, ("UnknownSource", 4)),
        (0, 0, ZERO_ADDRESS, ("MeterMissing",)),
    ],
    ids=["no such zone", "no such source", "no meter"],
)
def test_announce__impossible_particulars__refused(
    market: Community, producer: Participant, zone: int, source: int, meter: str, expected: Refusal
) -> None:
    answer = refusal(market.registry.announce, producer.address, zone, source, meter, sender=market.owner)
    named = (producer.address,) if expected == ("MeterMissing",) else ()
    assert answer == expected + named


def test_announce__not_a_member__refused(market: Community, stranger: Any) -> None:
    answer = refusal(market.registry.announce, stranger, 0, 0, METER, sender=market.owner)
    assert answer == ("UnknownMember", stranger.address)
