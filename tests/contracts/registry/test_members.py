"""Who is let in, stopped, let back in, and by whom."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_utils import to_canonical_address

from clearwatt.chain.deployment import SOURCES, pack_grid
from tests.contracts.community import ZERO_ADDRESS, Community, Participant
from tests.contracts.refusals import Refusal, refusal

METER = "0x" + 40 * "7"
SEATED = 0x8000


def seat_of(market: Community, member: Any) -> int:
    return int(market.vault.accountOf(member).seat)


def test_admit__owner__member_known_counted_seated_and_logged(market: Community, stranger: Any) -> None:
    before = market.registry.activeMembers()
    receipt = market.registry.admit(stranger, 3, 2, METER, sender=market.owner)
    [event] = receipt.decode_logs(market.registry.MemberAdmitted)
    assert (event.member, event.zone, event.source, event.meter) == (stranger, 3, 2, METER)
    member = market.registry.memberOf(stranger)
    assert (member.meter, member.zone, member.source, member.active) == (METER, 3, 2, True)
    assert market.registry.activeMembers() == before + 1
    assert seat_of(market, stranger) == SEATED + 3


def test_terms__of_a_member_suspended_or_a_stranger__meter_and_source(
    market: Community, producer: Participant, stranger: Any
) -> None:
    asked = [producer.address, str(stranger), producer.address]
    members = b"".join(map(to_canonical_address, asked))
    known = SOURCES["solar"] << 160 | int(producer.meter.address, 16)
    assert list(market.registry.termsOf(members)) == [known, 0, known]
    market.registry.suspend(producer.address, sender=market.owner)
    assert list(market.registry.termsOf(members)) == [known, 0, known]


@pytest.mark.parametrize(
    ("member", "zone", "source", "meter", "expected"),
    [
        (ZERO_ADDRESS, 0, 0, METER, ("UnknownMember", ZERO_ADDRESS)),
        (METER, 4, 0, METER, ("UnknownZone", 4)),
        (METER, 0, 4, METER, ("UnknownSource", 4)),
        (METER, 0, 0, ZERO_ADDRESS, ("MeterMissing", METER)),
    ],
    ids=["no member", "no such zone", "no such source", "no meter"],
)
def test_admit__impossible_particulars__refused(
    market: Community, member: str, zone: int, source: int, meter: str, expected: Refusal
) -> None:
    assert refusal(market.registry.admit, member, zone, source, meter, sender=market.owner) == expected


def test_admit__twice__refused_even_when_suspended(market: Community, producer: Participant) -> None:
    again = (market.registry.admit, producer.address, 0, 0, METER)
    assert refusal(*again, sender=market.owner) == ("AlreadyAMember", producer.address)
    market.registry.suspend(producer.address, sender=market.owner)
    assert refusal(*again, sender=market.owner) == ("AlreadyAMember", producer.address)


@pytest.mark.parametrize(
    ("action", "more"),
    [("admit", (0, 0, METER)), ("suspend", ()), ("reinstate", ()), ("announce", (0, 0, METER))],
)
def test_registry__stranger__refused(
    market: Community, producer: Participant, stranger: Any, action: str, more: tuple[Any, ...]
) -> None:
    answer = refusal(getattr(market.registry, action), producer.address, *more, sender=stranger)
    assert answer == ("OwnableUnauthorizedAccount", stranger.address)


def test_suspend__member__may_not_bid_until_reinstated(market: Community, producer: Participant) -> None:
    before = market.registry.activeMembers()
    receipt = market.registry.suspend(producer.address, sender=market.owner)
    assert [event.member for event in receipt.decode_logs(market.registry.MemberSuspended)] == [
        producer.address
    ]
    assert market.registry.activeMembers() == before - 1
    assert seat_of(market, producer.address) == 2
    market.open_gate(0)
    bid = (market.market.bid, 0, b"")
    assert refusal(*bid, sender=producer.account) == ("NotAMember", producer.address)
    receipt = market.registry.reinstate(producer.address, sender=market.owner)
    assert [event.member for event in receipt.decode_logs(market.registry.MemberReinstated)] == [
        producer.address
    ]
    assert market.registry.activeMembers() == before
    assert seat_of(market, producer.address) == SEATED + 2
    assert refusal(*bid, sender=producer.account) is None


def test_suspend__not_active__refused(market: Community, producer: Participant, stranger: Any) -> None:
    suspend = market.registry.suspend
    assert refusal(suspend, stranger, sender=market.owner) == ("UnknownMember", stranger.address)
    suspend(producer.address, sender=market.owner)
    assert refusal(suspend, producer.address, sender=market.owner) == ("UnknownMember", producer.address)


def test_reinstate__stranger_or_active__refused(
    market: Community, producer: Participant, stranger: Any
) -> None:
    reinstate = market.registry.reinstate
    assert refusal(reinstate, stranger, sender=market.owner) == ("UnknownMember", stranger.address)
    assert refusal(reinstate, producer.address, sender=market.owner) == ("AlreadyAMember", producer.address)


def test_admit__community_full__refused_until_somebody_is_suspended(
    deploy: Callable[..., Community], accounts: Any
) -> None:
    market = deploy(max_members=2)
    first = market.admit(accounts[3], zone=1, tokens=0)
    market.admit(accounts[4], zone=1, tokens=0)
    another = (market.registry.admit, accounts[5], 1, 0, METER)
    assert refusal(*another, sender=market.owner) == ("CommunityFull", 2)
    market.registry.suspend(first.address, sender=market.owner)
    market.admit(accounts[5], zone=1, tokens=0)
    assert market.registry.activeMembers() == 2
    reinstating = refusal(market.registry.reinstate, first.address, sender=market.owner)
    assert reinstating == ("CommunityFull", 2)


def test_connect__second_time_or_stranger__refused(market: Community, stranger: Any) -> None:
    connect = market.registry.connect
    assert refusal(connect, stranger, sender=market.owner) == ("AlreadyConnected",)
    assert refusal(connect, stranger, sender=stranger) == ("NotConnectedCaller", stranger.address)


def test_connect__nobody_named__refused(project: Any, market: Community) -> None:
    config = market.config
    lines = pack_grid(config.grid)
    registry = market.owner.deploy(project.Registry, config.owner, config.registry_parameters(), lines)
    answer = refusal(registry.connect, ZERO_ADDRESS, sender=market.owner)
    assert answer == ("NotConnectedCaller", ZERO_ADDRESS)
    assert refusal(registry.connect, market.vault.address, sender=market.owner) is None


# ------------------------------------------------------------------------------------------------ the owner


def test_ownership__handed_over__after_the_delay_and_only_when_accepted(
    market: Community, stranger: Any
) -> None:
    registry = market.registry
    receipt = registry.transferOwnership(stranger, sender=market.owner)
    [event] = receipt.decode_logs(registry.OwnershipAnnounced)
    start = registry.ownershipFrom()
    assert start == receipt.timestamp + market.config.owner_delay
    assert (event.nextOwner, event.event_arguments["from"]) == (stranger, start)
    market.travel(start - 1)
    assert refusal(registry.acceptOwnership, sender=stranger) == ("OwnershipTooEarly", start)
    market.travel(start)
    other = market.participants[1].account
    assert refusal(registry.acceptOwnership, sender=other) == ("OwnableUnauthorizedAccount", other.address)
    assert registry.owner() == market.owner
    registry.acceptOwnership(sender=stranger)
    assert registry.owner() == stranger


def test_ownership__another_named_meanwhile__delay_begins_again(market: Community, stranger: Any) -> None:
    registry = market.registry
    other = market.participants[1].account
    registry.transferOwnership(stranger, sender=market.owner)
    first = registry.ownershipFrom()
    market.travel(first - 10)
    registry.transferOwnership(other, sender=market.owner)
    second = registry.ownershipFrom()
    assert second >= first - 10 + market.config.owner_delay
    market.travel(first)
    assert refusal(registry.acceptOwnership, sender=stranger) == ("OwnershipTooEarly", second)
    market.travel(second)
    answer = refusal(registry.acceptOwnership, sender=stranger)
    assert answer == ("OwnableUnauthorizedAccount", stranger.address)
    assert refusal(registry.acceptOwnership, sender=other) is None


def test_ownership__given_up__refused(market: Community, stranger: Any) -> None:
    for sender in (market.owner, stranger):
        assert refusal(market.registry.renounceOwnership, sender=sender) == ("OwnershipNotRenounceable",)
    answer = refusal(market.registry.transferOwnership, stranger, sender=stranger)
    assert answer == ("OwnableUnauthorizedAccount", stranger.address)
