"""Settling by a roster of members' terms: the same as without, and only as long as it says what the registry says."""

from typing import Any

import ape
import pytest

from clearwatt.chain import codec
from clearwatt.chain import market as client_module
from clearwatt.chain.market import MarketClient
from clearwatt.chain.node import connect
from clearwatt.chain.typed_data import Evidence
from tests.contracts.community import ZERO_ADDRESS, Community, Participant, Roster
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal

OTHER_METER = "0x" + 40 * "8"
MOST = 599
DEVIATIONS = ((0, 0, 40, 0), (10, -20, 0, 5), (-30, 0, 0, 7), (0, 0, 900, -1_000), (1, 1, 1, -1))


@pytest.fixture(scope="module")
def roster(delivered_day: Day, imbalance: bytes) -> Roster:
    return delivered_day.market.write_roster()


def answer(day: Day, imbalance: bytes, roster: str, packed: bytes) -> Refusal | None:
    market = day.market
    return refusal(market.settlement.settleListed, 0, imbalance, roster, packed, sender=market.owner)


def at_place(place: int, delivery: bytes) -> bytes:
    """The delivery with this place instead of its member's address."""
    return place.to_bytes(2, "big") + delivery[codec.MEMBER_BYTES :]


def accounts_of(market: Community) -> list[Any]:
    return [market.vault.accountOf(account) for account in sorted(market.accounts())]


# ------------------------------------------------------------------------------------------ writing


def code_of(market: Community, address: str) -> bytes:
    return bytes(market.chain.provider.web3.eth.get_code(address))


def entry_of(market: Community, participant: Participant) -> bytes:
    source = market.registry.memberOf(participant.address).source
    words = (participant.address[2:], f"{source:02x}", participant.meter.address[2:])
    return bytes.fromhex("".join(words))


def test_write_roster__anyone__code_that_stops_and_then_every_member_s_terms(
    market: Community, stranger: Any, producer: Participant, consumer: Participant
) -> None:
    members = codec.pack_members([producer.address, consumer.address])
    receipt = market.registry.writeRoster(members, sender=stranger)
    [event] = receipt.decode_logs(market.registry.RosterWritten)
    entries = entry_of(market, producer) + entry_of(market, consumer)
    assert code_of(market, event.roster) == b"\0" + entries
    assert bytes(event.members) == members
    assert market.registry.isCurrent(event.roster)


def test_write_roster__as_many_as_fit__written_and_no_more(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    market = delivered_day.market
    roster = market.write_roster([producer.address] * MOST)
    assert code_of(market, roster.address) == b"\0" + entry_of(market, producer) * MOST
    delivery = delivered_day.delivery(producer)
    assert answer(delivered_day, imbalance, roster.address, at_place(MOST - 1, delivery)) is None
    assert answer(delivered_day, imbalance, roster.address, at_place(MOST, delivery)) == (
        "NotListed",
        roster.address,
        MOST,
    )
    more = codec.pack_members([producer.address] * (MOST + 1))
    refused = refusal(market.registry.writeRoster, more, sender=market.owner)
    assert refused == ("RosterImpossible", len(more))


@pytest.mark.parametrize("length", [0, 19, 21, 39])
def test_write_roster__not_a_number_of_addresses__refused(
    market: Community, producer: Participant, length: int
) -> None:
    members = codec.pack_members([producer.address] * 2)[:length]
    refused = refusal(market.registry.writeRoster, members, sender=market.owner)
    assert refused == ("RosterImpossible", length)


def test_write_roster__one_is_no_member__refused(
    market: Community, producer: Participant, stranger: Any
) -> None:
    members = codec.pack_members([producer.address, stranger.address])
    refused = refusal(market.registry.writeRoster, members, sender=market.owner)
    assert refused == ("UnknownMember", stranger.address)


def test_roster__called__does_nothing(market: Community, roster: Roster) -> None:
    assert bytes(market.chain.provider.web3.eth.call({"to": roster.address, "data": "0x01"})) == b""


# ------------------------------------------------------------------------------------------ settling


def test_settle_listed__everybody__as_by_address(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    market = delivered_day.market
    roster = market.write_roster([p.address for p in reversed(market.participants)])
    pairs = zip(market.participants, DEVIATIONS, strict=True)
    deliveries = [delivered_day.delivery(*pair) for pair in pairs]
    with market.chain.isolate():
        logged = market.settlements(market.settle(0, imbalance, deliveries))
        booked, totals = accounts_of(market), market.settlement.totalsOf(0)
    receipt = market.settle_listed(0, imbalance, roster, deliveries)
    assert market.settlements(receipt) == logged[::-1]
    assert (accounts_of(market), market.settlement.totalsOf(0)) == (booked, totals)
    assert totals.settled == len(market.participants)
    market.assert_money_conserved()
    claims = [(one.member, one.source, one.unmatched, one.bought) for one in logged]
    draw = market.settlement.drawTokens
    assert refusal(draw, 0, claims, sender=market.owner) is None
    assert refusal(draw, 0, [claims[0], claims[0]], sender=market.owner) == (
        "RecordMismatch",
        0,
        claims[0][0],
    )


def test_settle_listed__each_kind_of_evidence__settled_on_it(
    delivered_day: Day, imbalance: bytes, roster: Roster
) -> None:
    day, market = delivered_day, delivered_day.market
    metered, silent, lost = market.participants[1:4]
    readings = tuple(fill + 7 for fill in day.position(silent).fills)
    market.travel(market.config.schedule.metering_deadline(0))
    market.post_substitute(0, silent, readings)
    market.travel(market.config.schedule.deemed_from(0))
    deliveries = [
        day.delivery(metered),
        market.substituted(silent, day.position(silent), readings),
        market.deemed(lost, day.position(lost)),
    ]
    logged = market.settlements(market.settle_listed(0, imbalance, roster, deliveries))
    assert [one.evidence for one in logged] == list(Evidence)
    assert [one.member for one in logged] == [metered.address, silent.address, lost.address]
    assert [one.readings for one in logged] == [day.position(metered).fills, readings, ()]


def test_settle_listed__nobody__accepted_and_changes_nothing(
    delivered_day: Day, imbalance: bytes, roster: Roster
) -> None:
    assert list(delivered_day.market.settle_listed(0, imbalance, roster, []).logs) == []


def test_settle_listed__twice__refused(delivered_day: Day, imbalance: bytes, producer: Participant) -> None:
    roster = delivered_day.market.write_roster([producer.address, producer.address])
    delivery = delivered_day.delivery(producer)
    twice = at_place(0, delivery) + at_place(1, delivery)
    mismatch = ("RecordMismatch", 0, producer.address)
    assert answer(delivered_day, imbalance, roster.address, twice) == mismatch
    delivered_day.market.settle(0, imbalance, [delivery])
    assert answer(delivered_day, imbalance, roster.address, at_place(0, delivery)) == mismatch


# ------------------------------------------------------------------------------------------ refused


def test_settle_listed__another_s_place__refused_as_the_wrong_meter_s(
    delivered_day: Day, imbalance: bytes, roster: Roster, consumer: Participant
) -> None:
    place = roster.members.index(consumer.address)
    packed = at_place(place - 1, delivered_day.delivery(consumer))
    refused = answer(delivered_day, imbalance, roster.address, packed)
    assert refused is not None
    assert refused[:2] == ("WrongMeter", roster.members[place - 1])


@pytest.mark.parametrize("places", [(1, 0), (1, 1), (0, 2, 1)])
def test_settle_listed__places_do_not_ascend__refused(
    delivered_day: Day, imbalance: bytes, roster: Roster, places: tuple[int, ...]
) -> None:
    participants = delivered_day.market.participants
    packed = b"".join(at_place(place, delivered_day.delivery(participants[place])) for place in places)
    refused = answer(delivered_day, imbalance, roster.address, packed)
    assert refused == ("NotListed", roster.address, places[-1])


@pytest.mark.parametrize("place", [5, 6, 65_535])
def test_settle_listed__place_beyond_the_roster__refused(
    delivered_day: Day, imbalance: bytes, roster: Roster, producer: Participant, place: int
) -> None:
    packed = at_place(place, delivered_day.delivery(producer))
    refused = answer(delivered_day, imbalance, roster.address, packed)
    assert refused == ("NotListed", roster.address, place)


@pytest.mark.parametrize("evidence", [3, 255])
def test_settle_listed__unknown_evidence__refused(
    delivered_day: Day, imbalance: bytes, roster: Roster, evidence: int
) -> None:
    member = delivered_day.market.participants[1]
    packed = at_place(1, delivered_day.delivery(member))
    changed = packed[:2] + bytes([evidence]) + packed[3:]
    refused = answer(delivered_day, imbalance, roster.address, changed)
    assert refused == ("UnknownEvidence", member.address, evidence)


@pytest.mark.parametrize("kept", [1, 2, 3, 13, 29, 45, 46, 109, 111, 112, 113, 219])
def test_settle_listed__length_says_less_than_is_there__refused(
    delivered_day: Day, imbalance: bytes, roster: Roster, kept: int
) -> None:
    """All that is read is in order; but it goes on behind the end that the calldata gives."""
    market = delivered_day.market
    packed = market.listed(roster, [delivered_day.delivery(p) for p in market.participants[:2]])
    method = market.settlement.settleListed
    whole = bytes(method.encode_input(0, imbalance, roster.address, packed))
    length, shorter = (size.to_bytes(32, "big") for size in (len(packed), kept))
    head, tail = whole.split(length + packed)
    cut = Calldata(method, head + shorter + packed + tail)
    assert refusal(cut, sender=market.owner) == ("MalformedDeliveries", kept)


class Calldata:
    """A call whose bytes are given."""

    def __init__(self, method: Any, data: bytes) -> None:
        self.contract = method.contract
        self._data = data

    def encode_input(self) -> bytes:
        return self._data


def test_settle_listed__roster_that_the_registry_did_not_write__refused(
    delivered_day: Day, imbalance: bytes, roster: Roster, stranger: Any, producer: Participant
) -> None:
    """Not even if it is the same to the byte."""
    market = delivered_day.market
    forged = "0x" + 40 * "5"
    market.chain.provider.make_request(
        "anvil_setCode", [forged, "0x" + code_of(market, roster.address).hex()]
    )
    packed = market.listed(roster, [delivered_day.delivery(producer)])
    assert answer(delivered_day, imbalance, roster.address, packed) is None
    for address in (forged, stranger.address, market.registry.address, ZERO_ADDRESS):
        assert answer(delivered_day, imbalance, address, packed)[0] == "RosterOutdated"
        assert not market.registry.isCurrent(address)


def test_settle_listed__any_member_s_terms_changed__refused_until_written_anew(
    delivered_day: Day, imbalance: bytes, producer: Participant, consumer: Participant
) -> None:
    """Even if the one that changed is not in the roster."""
    market = delivered_day.market
    outdated = market.write_roster([producer.address])
    market.registry.announce(consumer.address, 3, 2, OTHER_METER, sender=market.owner)
    market.travel(market.registry.changeOf(consumer.address).adoptableFrom)
    deliveries = [delivered_day.delivery(producer)]
    packed = market.listed(outdated, deliveries)
    assert answer(delivered_day, imbalance, outdated.address, packed) is None
    market.registry.adopt(consumer.address, sender=market.owner)
    assert answer(delivered_day, imbalance, outdated.address, packed) == ("RosterOutdated", outdated.address)
    anew = market.write_roster([producer.address])
    assert answer(delivered_day, imbalance, anew.address, packed) is None


def test_roster__member_suspended_and_another_admitted__still_current(
    market: Community, roster: Roster, producer: Participant, stranger: Any
) -> None:
    """Neither changes what settling asks of a member."""
    market.registry.suspend(producer.address, sender=market.owner)
    market.registry.admit(stranger.address, 1, 0, OTHER_METER, sender=market.owner)
    market.registry.reinstate(producer.address, sender=market.owner)
    assert market.registry.isCurrent(roster.address)


def test_settle_listed__before_prices_are_final__refused(
    delivered_day: Day, imbalance: bytes, roster: Roster, producer: Participant
) -> None:
    other = delivered_day.market.imbalance(delivered_day.claim, spread=0)
    packed = delivered_day.market.listed(roster, [delivered_day.delivery(producer)])
    assert answer(delivered_day, other, roster.address, packed) == ("ImbalanceNotFinal", 0)


# ------------------------------------------------------------------------------------------ the client


def test_client_settles__roster_current_or_not__by_it_or_by_address(
    delivered_day: Day, imbalance: bytes, producer: Participant, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = delivered_day.market
    client = MarketClient(connect(ape.chain.provider.http_uri), market.deployment)
    deliveries = [delivered_day.delivery(participant) for participant in market.participants]
    packed = b"".join(deliveries)
    sender = {"from": str(market.owner)}

    def name_of(data: bytes) -> str:
        client.view()
        return str(client.settle(0, imbalance, data).fn_name)

    client.write_roster([p.address for p in reversed(market.participants)]).transact(sender)
    assert name_of(packed) == "settle"  # so few that a roster does not pay
    monkeypatch.setattr(client_module, "LEAST_LISTED", 5)
    assert name_of(packed) == "settleListed"
    assert name_of(b"".join(deliveries[1:])) == "settle"
    client.settle(0, imbalance, packed).transact(sender)
    assert market.settlement.totalsOf(0).settled == len(market.participants)
