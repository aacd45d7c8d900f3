"""Who the oracles are, how many must sign, and how others take their place."""

from typing import Any

import pytest

from clearwatt.chain import typed_data
from tests.contracts.community import Community
from tests.contracts.day import Day, close_day
from tests.contracts.refusals import Refusal, creation_refusal, refusal

NOBODY = "0x" + 40 * "0"
FIRST, SECOND, THIRD = ("0x" + 40 * digit for digit in "123")
LATER = 200
"""An auction whose bids are taken only after the owner's delay."""


def announce(market: Community, signers: list[str], threshold: int) -> Any:
    """Announced; the event."""
    receipt = market.quorum.announceQuorum(signers, threshold, sender=market.owner)
    [event] = receipt.decode_logs(market.quorum.QuorumAnnounced)
    return event


def test_first_quorum__in_office_in_epoch_0(market: Community) -> None:
    quorum, signers = market.quorum, [oracle.address for oracle in market.oracles]
    assert (quorum.epoch(), quorum.threshold(), quorum.signers()) == (0, 2, signers)
    assert bytes(quorum.configuration()) == typed_data.configuration_of(signers, 2)
    assert all(quorum.isSigner(signer) for signer in signers)


def test_adopt__after_the_delay__others_sign(market: Community, stranger: Any) -> None:
    quorum = market.quorum
    keeps_office = market.oracles[0].address
    signers = sorted([keeps_office, FIRST], key=lambda signer: int(signer, 16))
    event = announce(market, signers, 1)
    assert (event.signers, event.threshold) == (signers, 1)
    assert quorum.epoch() == 0
    market.travel(event["from"] - 1)
    assert refusal(quorum.adoptQuorum, signers, 1, sender=stranger) == ("TooEarly", event["from"])
    market.travel(event["from"])
    receipt = quorum.adoptQuorum(signers, 1, sender=stranger)
    [changed] = receipt.decode_logs(quorum.QuorumChanged)
    assert (changed.epoch, changed.signers, changed.threshold) == (1, signers, 1)
    assert (quorum.epoch(), quorum.threshold(), quorum.signers()) == (1, 1, signers)
    assert bytes(quorum.configuration()) == typed_data.configuration_of(signers, 1)
    in_office = [quorum.isSigner(account) for account in (*signers, market.oracles[1].address)]
    assert in_office == [True, True, False]


def test_announce__delay__is_the_owners(market: Community) -> None:
    event = announce(market, [FIRST], 1)
    now = market.chain.blocks.head.timestamp
    assert event["from"] == now + market.config.owner_delay


def test_adopt__other_than_announced_or_twice__refused(market: Community, stranger: Any) -> None:
    adopt = market.quorum.adoptQuorum
    assert refusal(adopt, [FIRST], 1, sender=stranger) == ("NothingAnnounced",)
    event = announce(market, [FIRST, SECOND], 1)
    market.travel(event["from"])
    for other in (([FIRST, SECOND], 2), ([FIRST], 1), ([FIRST, THIRD], 1)):
        assert refusal(adopt, *other, sender=stranger) == ("NotAsAnnounced",)
    adopt([FIRST, SECOND], 1, sender=stranger)
    assert refusal(adopt, [FIRST, SECOND], 1, sender=stranger) == ("NothingAnnounced",)


def test_announce__again__replaces_and_waits_anew(market: Community, stranger: Any) -> None:
    first = announce(market, [FIRST], 1)
    market.travel(market.chain.blocks.head.timestamp + 60)
    second = announce(market, [SECOND], 1)
    assert second["from"] > first["from"]
    market.travel(second["from"])
    adopt = market.quorum.adoptQuorum
    assert refusal(adopt, [FIRST], 1, sender=stranger) == ("NotAsAnnounced",)
    assert refusal(adopt, [SECOND], 1, sender=stranger) is None


def test_announce__stranger__refused(market: Community, stranger: Any) -> None:
    answer = refusal(market.quorum.announceQuorum, [FIRST], 1, sender=stranger)
    assert answer == ("OwnableUnauthorizedAccount", stranger.address)


@pytest.mark.parametrize(
    ("signers", "threshold", "expected"),
    [
        ([FIRST], 0, ("QuorumImpossible", 1, 0)),
        ([FIRST, SECOND], 3, ("QuorumImpossible", 2, 3)),
        ([], 0, ("QuorumImpossible", 0, 0)),
        ([SECOND, FIRST], 1, ("SignersNotAscending", FIRST)),
        ([FIRST, SECOND, SECOND], 2, ("SignersNotAscending", SECOND)),
        ([NOBODY, FIRST], 1, ("SignersNotAscending", NOBODY)),
    ],
    ids=["no threshold", "threshold above signers", "nobody", "descending", "twice", "zero address"],
)
def test_quorum__impossible__refused(
    project: Any, market: Community, signers: list[str], threshold: int, expected: Refusal
) -> None:
    assert refusal(market.quorum.announceQuorum, signers, threshold, sender=market.owner) == expected
    deployed_with = (market.registry.address, market.vault.address, signers, threshold)
    assert creation_refusal(project.OracleQuorum, *deployed_with) == expected


# ------------------------------------------------------------------------------------------ terms of office


def test_report__signed_in_an_earlier_epoch__counts_no_longer(market: Community) -> None:
    signers, earlier = [oracle.address for oracle in market.oracles], market.term
    event = announce(market, signers, 2)
    market.travel(event["from"])
    market.quorum.adoptQuorum(signers, 2, sender=market.owner)
    # the same oracles by the same rule, yet another term
    assert market.term == typed_data.QuorumTerm(1, earlier.configuration)
    day = close_day(market, LATER)
    day.clear()
    market.travel(market.config.schedule.delivery_end(LATER))
    prices = market.imbalance(day.claim)
    refused = post(day, prices, signed_in(market, earlier, prices))
    assert refused
    assert refused[0] in ("NotASigner", "SignersNotAscending")
    assert post(day, prices, signed_in(market, market.term, prices)) is None


def signed_in(market: Community, term: typed_data.QuorumTerm, prices: bytes) -> bytes:
    message = typed_data.imbalance_prices(market.chain_id, market.quorum.address, term, LATER, prices)
    return typed_data.sign_all(market.signing_oracles, message)


def post(day: Day, prices: bytes, signatures: bytes) -> Refusal | None:
    sent = (LATER, day.packed_prices, prices, signatures)
    return refusal(day.market.settlement.postImbalance, *sent, sender=day.market.owner)


# ------------------------------------------------------------------------------------------ the owner


def test_owner__hands_over__after_the_delay_and_in_two_steps(market: Community, stranger: Any) -> None:
    quorum = market.quorum
    receipt = quorum.transferOwnership(stranger, sender=market.owner)
    [event] = receipt.decode_logs(quorum.OwnershipAnnounced)
    assert (event.nextOwner, event["from"]) == (
        stranger.address,
        market.chain.blocks.head.timestamp + market.config.owner_delay,
    )
    market.travel(event["from"] - 1)
    assert refusal(quorum.acceptOwnership, sender=stranger) == ("OwnershipTooEarly", event["from"])
    market.travel(event["from"])
    not_named = refusal(quorum.acceptOwnership, sender=market.owner)
    assert not_named == ("OwnableUnauthorizedAccount", market.owner.address)
    quorum.acceptOwnership(sender=stranger)
    assert quorum.owner() == stranger.address


def test_owner__names_another__first_can_take_office_no_more(
    market: Community, stranger: Any, accounts: Any
) -> None:
    quorum = market.quorum
    quorum.transferOwnership(stranger, sender=market.owner)
    quorum.transferOwnership(accounts[8], sender=market.owner)
    market.travel(quorum.ownershipFrom())
    refused = refusal(quorum.acceptOwnership, sender=stranger)
    assert refused == ("OwnableUnauthorizedAccount", stranger.address)
    assert refusal(quorum.acceptOwnership, sender=accounts[8]) is None


def test_owner__renounces__refused(market: Community) -> None:
    answer = refusal(market.quorum.renounceOwnership, sender=market.owner)
    assert answer == ("OwnershipNotRenounceable",)


def test_post__not_through_settlement__refused(market: Community, stranger: Any) -> None:
    quorum, not_connected = market.quorum, ("NotConnectedCaller", stranger.address)
    assert refusal(quorum.postImbalance, 0, b"", b"", sender=stranger) == not_connected
    assert refusal(quorum.postSubstitute, 0, FIRST, b"", b"", sender=stranger) == not_connected


def test_connect__nobody__refused_and_open_to_the_deployer_still(
    project: Any, market: Community, owner: Any
) -> None:
    quorum = owner.deploy(project.OracleQuorum, market.registry, market.vault, [FIRST], 1)
    assert refusal(quorum.connect, NOBODY, sender=owner) == ("NotConnectedCaller", NOBODY)
    assert refusal(quorum.connect, owner, sender=owner) is None


def test_connect__second_time_or_stranger__refused(market: Community, stranger: Any) -> None:
    connect = market.quorum.connect
    assert refusal(connect, stranger, sender=market.owner) == ("AlreadyConnected",)
    assert refusal(connect, stranger, sender=stranger) == ("NotConnectedCaller", stranger.address)
