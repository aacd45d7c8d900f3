"""Bids that members signed and anyone posted: each counts once, in its member's order, and none hinders another."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from clearwatt.bids import Step, pack_steps
from clearwatt.chain import codec, typed_data
from clearwatt.chain.codec import SignedBid
from clearwatt.units import INT32_MAX
from tests.contracts.community import FAR_FUTURE, FUNDS, Community, Participant, key_of
from tests.contracts.market.records import BID, LAST_NONCE, digest, lock_up, record_of
from tests.contracts.market.signed import outcome
from tests.contracts.refusals import refusal
from tests.contracts.vault.conftest import settling

STEPS = [(0, 30_000, -1_000)]
PACKED = pack_steps([Step(*step) for step in STEPS])
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def gate(market: Community) -> Community:
    """The market with the gate of auction 0 open."""
    market.open_gate(0)
    return market


def test_bid_signed__posted_by_anyone__logged_recorded_and_counted(
    gate: Community, consumer: Participant, stranger: Any
) -> None:
    receipt = gate.post_signed(0, [gate.signed_bid(consumer, 0, STEPS, nonce=7)], sender=stranger)
    [event] = receipt.decode_logs(gate.market.BidsPlaced)
    assert event.auction == 0
    assert bytes(event.bids) == bytes.fromhex(consumer.address[2:]) + b"\0\2\0\1" + PACKED
    lock = lock_up(30_000_000)
    assert record_of(gate, 0, consumer) == (digest(b"\0\2\0\1" + PACKED), 7, lock, 0, BID)
    assert gate.vault.accountOf(consumer.address).locked == lock
    assert gate.market.auctionOf(0).liveBids == 1
    gate.assert_money_conserved()


def test_bid_signed__several_members__one_event_and_all_counted(gate: Community) -> None:
    bundles = {participant.address: STEPS for participant in gate.participants}
    receipt = gate.bid_signed(0, bundles)
    assert outcome(gate, receipt) == (list(bundles), [])
    assert len(receipt.decode_logs(gate.market.BidsPlaced)) == 1
    assert gate.market.auctionOf(0).liveBids == 5
    for participant in gate.participants:
        assert record_of(gate, 0, participant).stage == BID
        assert gate.vault.accountOf(participant.address).locked == lock_up(30_000_000)
    gate.assert_money_conserved()


def test_bid_signed__none__nothing_happens(gate: Community, stranger: Any) -> None:
    receipt = gate.market.bidSigned(0, b"", sender=stranger)
    assert outcome(gate, receipt) == ([], [])
    assert receipt.decode_logs(gate.market.BidsPlaced) == []


def test_bid_signed__no_steps__counts_and_locks_nothing(gate: Community, consumer: Participant) -> None:
    gate.bid_signed(0, {consumer.address: []})
    assert record_of(gate, 0, consumer) == (digest(b"\0\2\0\0"), 1, 0, 0, BID)
    assert gate.market.auctionOf(0).liveBids == 1


def test_bid_signed__event__its_bytes_clear_the_auction(
    gate: Community, producer: Participant, consumer: Participant, remote_producer: Participant
) -> None:
    offers = [
        (producer, [(0, 8_000, 4_000), (2, 5_000, 1_000)]),
        (consumer, STEPS),
        (remote_producer, []),
    ]
    ordered = sorted(offers, key=lambda offer: int(offer[0].address, 16))
    signed = [gate.signed_bid(participant, 0, steps) for participant, steps in ordered]
    [event] = gate.post_signed(0, signed).decode_logs(gate.market.BidsPlaced)
    gate.await_clearing(0)
    _, _, claim = gate.solve(0)
    gate.submit(0, claim, bytes(event.bids))
    assert gate.market.auctionOf(0).cleared
    gate.assert_money_conserved()


def test_bid_signed__gate_times__to_the_second(market: Community, consumer: Participant) -> None:
    opening, closure = market.config.schedule.opening(0), market.config.schedule.gate_closure(0)
    bids = codec.pack_signed_bids([market.signed_bid(consumer, 0, STEPS)])
    not_open = ("GateNotOpen", 0, opening, closure)
    for moment, expected in [
        (opening - 1, not_open),
        (opening, None),
        (closure - 1, None),
        (closure, not_open),
    ]:
        market.travel(moment)
        assert refusal(market.market.bidSigned, 0, bids, sender=market.owner) == expected


# ------------------------------------------------------------------------------------------------ nonces, deadlines


def test_nonce__above_the_last__replaces_the_bid_before(gate: Community, consumer: Participant) -> None:
    gate.bid_signed(0, {consumer.address: STEPS}, nonce=1)
    gate.bid_signed(0, {consumer.address: [(1, 20_000, -1_000)]}, nonce=LAST_NONCE - 1)
    record = record_of(gate, 0, consumer)
    assert (record.nonce, record.lock) == (LAST_NONCE - 1, lock_up(20_000_000))
    assert gate.vault.accountOf(consumer.address).locked == lock_up(20_000_000)
    assert gate.market.auctionOf(0).liveBids == 1


@pytest.mark.parametrize("nonce", [0, 4, 5, LAST_NONCE, LAST_NONCE + 1, 2**16 - 1])
def test_nonce__not_above_the_last_or_beyond_all__refused(
    gate: Community, consumer: Participant, nonce: int
) -> None:
    gate.bid_signed(0, {consumer.address: STEPS}, nonce=5)
    before = record_of(gate, 0, consumer)
    receipt = gate.bid_signed(0, {consumer.address: [(1, 20_000, -1_000)]}, nonce=nonce)
    assert outcome(gate, receipt) == ([], [(consumer.address, "NonceUsed")])
    assert record_of(gate, 0, consumer) == before
    assert gate.vault.accountOf(consumer.address).locked == lock_up(30_000_000)


@pytest.mark.parametrize("nonce", [0, LAST_NONCE])
def test_nonce__none_used_yet__counts_from_one_to_below_the_last(
    gate: Community, consumer: Participant, nonce: int
) -> None:
    receipt = gate.bid_signed(0, {consumer.address: STEPS}, nonce=nonce)
    assert outcome(gate, receipt) == ([], [(consumer.address, "NonceUsed")])
    assert record_of(gate, 0, consumer) == (0, 0, 0, 0, 0)


def test_replay__same_bytes__refused_in_the_same_call_and_later(
    gate: Community, consumer: Participant
) -> None:
    signed = gate.signed_bid(consumer, 0, STEPS)
    once = (consumer.address, "NonceUsed")
    assert outcome(gate, gate.post_signed(0, [signed, signed])) == ([consumer.address], [once])
    assert outcome(gate, gate.post_signed(0, [signed])) == ([], [once])
    assert gate.market.auctionOf(0).liveBids == 1


def test_bids_of_one_member__in_one_call__the_last_counts(gate: Community, consumer: Participant) -> None:
    bids = [gate.signed_bid(consumer, 0, [(0, price, -1_000)], nonce=price) for price in (1, 3, 2, 4)]
    receipt = gate.post_signed(0, bids)
    assert outcome(gate, receipt) == ([consumer.address] * 3, [(consumer.address, "NonceUsed")])
    steps = pack_steps([Step(0, 4, -1_000)])
    assert record_of(gate, 0, consumer) == (digest(b"\0\2\0\1" + steps), 4, lock_up(4_000), 0, BID)
    assert gate.market.auctionOf(0).liveBids == 1
    assert gate.vault.accountOf(consumer.address).locked == lock_up(4_000)


def test_nonce__of_another_auction__does_not_matter(gate: Community, consumer: Participant) -> None:
    gate.bid_signed(0, {consumer.address: STEPS}, nonce=9)
    gate.travel(gate.config.schedule.opening(1))
    receipt = gate.bid_signed(1, {consumer.address: STEPS}, nonce=1)
    assert outcome(gate, receipt) == ([consumer.address], [])


def test_deadline__to_the_second(gate: Community, consumer: Participant) -> None:
    deadline = gate.config.schedule.opening(0) + 100
    for moment, expected in [(deadline, None), (deadline + 1, "SignatureExpired")]:
        signed = gate.signed_bid(consumer, 0, STEPS, nonce=moment - deadline + 1, deadline=deadline)
        gate.chain.pending_timestamp = moment
        receipt = gate.post_signed(0, [signed])
        assert receipt.timestamp == moment
        refused = [(consumer.address, expected)] if expected else []
        assert outcome(gate, receipt) == ([] if expected else [consumer.address], refused)


def test_bid_in_person__signing_ends_for_this_auction(gate: Community, consumer: Participant) -> None:
    gate.bid_signed(0, {consumer.address: STEPS}, nonce=1)
    gate.bid(consumer, 0, [(1, 10_000, -1_000)])
    before = record_of(gate, 0, consumer)
    assert before.nonce == LAST_NONCE
    receipt = gate.bid_signed(0, {consumer.address: STEPS}, nonce=LAST_NONCE - 1)
    assert outcome(gate, receipt) == ([], [(consumer.address, "NonceUsed")])
    assert record_of(gate, 0, consumer) == before
    gate.bid(consumer, 0, [(1, 11_000, -1_000)])
    assert gate.market.auctionOf(0).liveBids == 1


# ------------------------------------------------------------------------------------------------ one bad bid


def other_signature(market: Community, participant: Participant) -> SignedBid:
    good = market.signed_bid(participant, 0, STEPS)
    return good._replace(signature=market.signed_bid(market.participants[0], 0, STEPS).signature)


def expired(market: Community, participant: Participant) -> SignedBid:
    return market.signed_bid(participant, 0, STEPS, deadline=market.config.schedule.opening(0) - 1)


def unsound(*steps: tuple[int, int, int]) -> Callable[[Community, Participant], SignedBid]:
    return lambda market, participant: market.signed_bid(participant, 0, steps)


def suspended(market: Community, participant: Participant) -> SignedBid:
    market.registry.suspend(participant.address, sender=market.owner)
    return market.signed_bid(participant, 0, STEPS)


def nonce_used(market: Community, participant: Participant) -> SignedBid:
    market.bid(participant, 0, [])
    market.bids.clear()
    return market.signed_bid(participant, 0, STEPS)


BAD_BIDS = {
    "wrong signature": (other_signature, "WrongSignature"),
    "expired": (expired, "SignatureExpired"),
    "slot unknown": (unsound((4, 1, 1)), "BundleUnsound"),
    "price too high": (unsound((0, 400_001, 1)), "BundleUnsound"),
    "too much in all": (unsound((0, 1, INT32_MAX), (1, 1, 1)), "BundleUnsound"),
    "too many steps": (unsound(*[(0, 1, 1)] * 9), "TooManySteps"),
    "more than it has": (unsound((0, 400_000, -INT32_MAX)), "BalanceTooLow"),
    "suspended": (suspended, "NotAMember"),
    "nonce used": (nonce_used, "NonceUsed"),
}


@pytest.mark.parametrize("kind", BAD_BIDS)
def test_bad_bid__among_good_ones__passed_over_with_the_reason(
    gate: Community, producer: Participant, consumer: Participant, remote_producer: Participant, kind: str
) -> None:
    spoil, why = BAD_BIDS[kind]
    bad = spoil(gate, consumer)
    before = record_of(gate, 0, consumer)
    live = gate.market.auctionOf(0).liveBids
    good = [gate.signed_bid(participant, 0, STEPS) for participant in (producer, remote_producer)]
    receipt = gate.post_signed(0, [good[0], bad, good[1]])
    placed = [producer.address, remote_producer.address]
    assert outcome(gate, receipt) == (placed, [(consumer.address, why)])
    assert record_of(gate, 0, consumer) == before
    assert gate.vault.accountOf(consumer.address).locked == 0
    assert gate.market.auctionOf(0).liveBids == live + 2
    gate.assert_money_conserved()


def test_bad_bid__of_a_stranger__passed_over(gate: Community, producer: Participant, stranger: Any) -> None:
    nobody = Participant(stranger, key_of("no meter"), 0)
    bids = [gate.signed_bid(participant, 0, STEPS) for participant in (nobody, producer)]
    receipt = gate.post_signed(0, bids)
    assert outcome(gate, receipt) == ([producer.address], [(stranger.address, "NotAMember")])
    assert record_of(gate, 0, nobody) == (0, 0, 0, 0, 0)


def test_bad_bid__of_a_debtor__passed_over(
    gate: Community, producer: Participant, consumer: Participant, accounts: Any
) -> None:
    settlement = accounts.impersonate_account(gate.settlement.address)
    gate.chain.provider.set_balance(settlement.address, 10**18)
    gate.vault.settle(*settling([(consumer.address, 0, 0, -FUNDS * 100 - 1)]), sender=settlement)
    assert gate.vault.accountOf(consumer.address).debt == 1
    receipt = gate.bid_signed(0, {consumer.address: [], producer.address: STEPS})
    assert outcome(gate, receipt) == ([producer.address], [(consumer.address, "InDebt")])
    gate.assert_money_conserved()


def test_bad_bid__record_in_use__passed_over(deploy: Callable[..., Community], accounts: Any) -> None:
    ring = deploy(ring_size=2)
    busy, free = (ring.admit(accounts[number], zone=2) for number in (3, 4))
    ring.open_gate(0)
    ring.bid(busy, 0, STEPS)
    ring.open_gate(2)
    receipt = ring.bid_signed(2, {busy.address: STEPS, free.address: STEPS})
    assert outcome(ring, receipt) == ([free.address], [(busy.address, "RecordInUse")])
    assert record_of(ring, 2, busy).round == 0
    ring.assert_money_conserved()


# ------------------------------------------------------------------------------------------------ signatures


@pytest.mark.parametrize("field", ["chain", "contract", "auction", "member", "nonce", "deadline", "steps"])
def test_signature__over_something_else__refused(
    gate: Community, producer: Participant, consumer: Participant, field: str
) -> None:
    honest: dict[str, Any] = {
        "chain": gate.chain_id,
        "contract": gate.market.address,
        "auction": 0,
        "member": consumer.address,
        "nonce": 1,
        "deadline": FAR_FUTURE,
        "steps": PACKED,
    }
    other = {
        "chain": gate.chain_id + 1,
        "contract": gate.vault.address,
        "auction": 1,
        "member": producer.address,
        "nonce": 2,
        "deadline": FAR_FUTURE - 1,
        "steps": PACKED[:-1] + b"\0",
    }
    refused = ([], [(consumer.address, "WrongSignature")])
    for changed, expected in [({field: other[field]}, refused), ({}, ([consumer.address], []))]:
        signature = typed_data.sign(consumer.key, typed_data.bid(*(honest | changed).values()))
        signed = SignedBid(consumer.address, 1, FAR_FUTURE, PACKED, signature)
        assert outcome(gate, gate.post_signed(0, [signed])) == expected


def mirrored(signature: bytes) -> bytes:
    """The other signature of the same message by the same key, with the high s."""
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def compact(signature: bytes) -> bytes:
    """The 64 bytes of EIP-2098."""
    s = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
    return signature[:32] + s.to_bytes(32, "big")


@pytest.mark.parametrize(
    "change",
    [
        mirrored,
        compact,
        lambda s: bytes(65),
        lambda s: b"",
        lambda s: s[:64] + b"\0",
        lambda s: s[:64] + bytes([s[64] - 27]),
        lambda s: s[:64] + b"\x1d",
        lambda s: s[:64] + bytes([27 + 28 - s[64]]),
        lambda s: s[:64],
        lambda s: s + b"\0",
        lambda s: bytes(32) + s[32:],
        lambda s: s[:32] + bytes(32) + s[64:],
    ],
    ids=[
        "high s",
        "compact",
        "zero",
        "none",
        "v of 0",
        "v less 27",
        "v of 29",
        "other v",
        "cut",
        "longer",
        "r of 0",
        "s of 0",
    ],
)
def test_signature__not_of_the_one_form__refused(
    gate: Community, consumer: Participant, change: Callable[[bytes], bytes]
) -> None:
    good = gate.signed_bid(consumer, 0, STEPS)
    receipt = gate.post_signed(0, [good._replace(signature=change(good.signature))])
    assert outcome(gate, receipt) == ([], [(consumer.address, "WrongSignature")])
    assert outcome(gate, gate.post_signed(0, [good])) == ([consumer.address], [])


def test_signature__invalid_for_the_zero_address__not_its_bid(gate: Community, stranger: Any) -> None:
    nobody = SignedBid("0x" + "0" * 40, 1, FAR_FUTURE, PACKED, bytes(65))
    receipt = gate.post_signed(0, [nobody])
    assert outcome(gate, receipt) == ([], [(nobody.member, "WrongSignature")])


# ------------------------------------------------------------------------------------------------ malformed bytes


def test_bytes__cut_anywhere__refused_as_a_whole(
    gate: Community, producer: Participant, consumer: Participant
) -> None:
    first, second = (
        codec.pack_signed_bid(gate.signed_bid(participant, 0, STEPS)) for participant in (producer, consumer)
    )
    whole = first + second
    for end in range(1, len(whole) + 1):
        answer = refusal(gate.market.bidSigned, 0, whole[:end], sender=gate.owner)
        if end in (len(first), len(whole)):
            assert answer is None
        else:
            assert answer == ("MalformedSignedBids", end if end < len(first) else end - len(first))


@pytest.mark.parametrize("padding", [1, 30])
def test_bytes__padded__refused_as_a_whole(gate: Community, consumer: Participant, padding: int) -> None:
    bids = codec.pack_signed_bids([gate.signed_bid(consumer, 0, STEPS)]) + bytes(padding)
    answer = refusal(gate.market.bidSigned, 0, bids, sender=gate.owner)
    assert answer == ("MalformedSignedBids", padding)


def test_bytes__padded_with_a_whole_empty_head__passed_over(gate: Community, consumer: Participant) -> None:
    bids = codec.pack_signed_bids([gate.signed_bid(consumer, 0, STEPS)]) + bytes(31)
    receipt = gate.market.bidSigned(0, bids, sender=gate.owner)
    assert outcome(gate, receipt) == ([consumer.address], [("0x" + "0" * 40, "SignatureExpired")])


@pytest.mark.parametrize("field", [slice(27, 29), slice(29, 31)], ids=["signature", "steps"])
def test_bytes__longer_than_they_are__refused_as_a_whole(
    gate: Community, consumer: Participant, field: slice
) -> None:
    bids = bytearray(codec.pack_signed_bids([gate.signed_bid(consumer, 0, STEPS)]))
    bids[field] = b"\xff\xff"
    answer = refusal(gate.market.bidSigned, 0, bytes(bids), sender=gate.owner)
    assert answer == ("MalformedSignedBids", len(bids))


# ------------------------------------------------------------------------------------------------ contract wallets

OWNER, REFUSES, REVERTS, BURNS_GAS, AT_LENGTH, SHORT, AGREES_TO_ALL = range(7)
CONTRACT_GAS = 200_000


@pytest.fixture
def keyholder() -> LocalAccount:
    return key_of("owner of a contract wallet")


@pytest.fixture
def wallet(gate: Community, project: Any, keyholder: LocalAccount) -> Participant:
    """A member that is a contract, and signs by its owner's key."""
    contract = gate.owner.deploy(project.ContractWallet, keyholder.address)
    participant = gate.admit(contract, zone=2, signing_key=keyholder)
    gate.participants.remove(participant)  # the community outlives this chain's state
    return participant


def test_contract_wallet__its_owner_signs__placed(gate: Community, wallet: Participant) -> None:
    receipt = gate.post_signed(0, [gate.signed_bid(wallet, 0, STEPS)])
    assert outcome(gate, receipt) == ([wallet.address], [])
    assert record_of(gate, 0, wallet).stage == BID
    gate.await_clearing(0)
    gate.clear(0)


def test_contract_wallet__another_signs__refused(
    gate: Community, wallet: Participant, consumer: Participant
) -> None:
    bid = gate.signed_bid(wallet, 0, STEPS)
    message = typed_data.bid(gate.chain_id, gate.market.address, 0, wallet.address, 1, FAR_FUTURE, PACKED)
    forged = bid._replace(signature=typed_data.sign(consumer.key, message))
    assert outcome(gate, gate.post_signed(0, [forged])) == ([], [(wallet.address, "WrongSignature")])


def test_contract_wallet__owner_signed_for_another_nonce__refused(
    gate: Community, wallet: Participant
) -> None:
    bid = gate.signed_bid(wallet, 0, STEPS)._replace(nonce=2)
    assert outcome(gate, gate.post_signed(0, [bid])) == ([], [(wallet.address, "WrongSignature")])


@pytest.mark.parametrize(
    ("manner", "placed"),
    [
        (OWNER, True),
        (REFUSES, False),
        (REVERTS, False),
        (BURNS_GAS, False),
        (AT_LENGTH, True),
        (SHORT, False),
        (AGREES_TO_ALL, True),
    ],
    ids=["for its owner", "refuses", "reverts", "burns all gas", "at length", "too short", "agrees to all"],
)
def test_contract_wallet__answers_as_it_likes__others_are_placed(
    gate: Community,
    wallet: Participant,
    producer: Participant,
    consumer: Participant,
    manner: int,
    placed: bool,
) -> None:
    wallet.account.behave(manner, sender=gate.owner)
    bids = [gate.signed_bid(participant, 0, STEPS) for participant in (producer, wallet, consumer)]
    receipt = gate.post_signed(0, bids)
    expected = [p.address for p in (producer, wallet, consumer) if placed or p is not wallet]
    refused = [] if placed else [(wallet.address, "WrongSignature")]
    assert outcome(gate, receipt) == (expected, refused)
    assert gate.market.auctionOf(0).liveBids == len(expected)


def test_contract_wallet__burns_gas__costs_no_more_than_its_bound(
    gate: Community, wallet: Participant
) -> None:
    bid = gate.signed_bid(wallet, 0, STEPS)
    spent = []
    for manner in (REFUSES, BURNS_GAS):
        wallet.account.behave(manner, sender=gate.owner)
        spent.append(gate.post_signed(0, [bid]).gas_used)
    assert CONTRACT_GAS - 10_000 < spent[1] - spent[0] <= CONTRACT_GAS


@pytest.mark.parametrize("size", [0, 64, 65, 66, 1_000])
def test_contract_wallet__signature_of_any_length__its_own_matter(
    gate: Community, wallet: Participant, size: int
) -> None:
    wallet.account.behave(AGREES_TO_ALL, sender=gate.owner)
    bid = gate.signed_bid(wallet, 0, STEPS)._replace(signature=b"\xaa" * size)
    assert outcome(gate, gate.post_signed(0, [bid])) == ([wallet.address], [])
    assert record_of(gate, 0, wallet) == (digest(b"\0\2\0\1" + PACKED), 1, lock_up(30_000_000), 0, BID)
