"""Signatures: forged, bent, of the wrong size, or given by contracts that don't mean it."""

from typing import Any

import pytest

from clearwatt.chain import codec, typed_data
from tests.contracts.attacks.raids import live_bids, locked, passed_over, post, said, settling
from tests.contracts.community import ZERO_ADDRESS, Community, Participant, key_of
from tests.contracts.day import Day
from tests.contracts.refusals import reason, refusal

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1's group."""
BUY = [(0, 30_000, -1_000)]
AGREES_TO_ALL, REFUSES, BURNS_GAS, ANSWERS_AT_LENGTH = 6, 1, 3, 4


def bent(signature: bytes) -> bytes:
    """The other signature that the same key would have made of the same message."""
    other = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + other.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def admit_contract(market: Community, wallet: Any) -> Participant:
    """A wallet contract as a member; what it is said to have signed is signed by nobody it knows."""
    return market.admit(wallet, zone=2, signing_key=key_of("nobody's key"))


# ------------------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    "forge",
    [
        bent,
        lambda s: bytes(65),
        lambda s: s[:64] + bytes([s[64] - 27]),
        lambda s: s[:64] + b"\x1d",
        lambda s: s[:32] + (int.from_bytes(s[32:64], "big") | (s[64] - 27) << 255).to_bytes(32, "big"),
        lambda s: s + b"\0",
        lambda s: b"",
        lambda s: bytes([s[0] ^ 1]) + s[1:],
    ],
    ids=["high s", "all zero", "v 0 or 1", "v 29", "compact", "a byte too long", "none", "a bit flipped"],
)
def test_bid__bent_signature__passed_over(gate: Community, consumer: Participant, forge: Any) -> None:
    """A poster bends a member's signature into another form: high s, other v, compact, longer, none, all zero."""
    signed = gate.signed_bid(consumer, 0, BUY)
    forged = signed._replace(signature=forge(signed.signature))
    assert post(gate, 0, [forged]) == passed_over(consumer, "WrongSignature")
    assert live_bids(gate) == 0


def test_bid__signed_by_another_key__passed_over(gate: Community, consumer: Participant) -> None:
    """A stranger signs a bid in a member's name."""
    consumer = Participant(consumer.account, consumer.meter, consumer.zone, signing_key=key_of("a stranger"))
    assert post(gate, 0, [gate.signed_bid(consumer, 0, BUY)]) == passed_over(consumer, "WrongSignature")


@pytest.mark.parametrize("field", ["steps", "nonce", "deadline"])
def test_bid__altered_after_signing__passed_over(gate: Community, consumer: Participant, field: str) -> None:
    """A poster changes a signed bid's steps, nonce or deadline."""
    signed, other = (
        gate.signed_bid(consumer, 0, BUY),
        gate.signed_bid(consumer, 0, [(0, 40_000, -9)], 2, 2**33),
    )
    forged = signed._replace(**{field: getattr(other, field)})
    assert post(gate, 0, [forged]) == passed_over(consumer, "WrongSignature")


def test_bid__of_the_zero_address__passed_over(gate: Community) -> None:
    """A poster bids for the zero address, which is what a broken signature recovers to."""
    forged = codec.SignedBid(ZERO_ADDRESS, 1, 2**33, b"", bytes(65))
    assert post(gate, 0, [forged]) == [(ZERO_ADDRESS, reason("WrongSignature"))]


def test_statement__malleable_or_zero__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A settler bends a meter's signature, or leaves it all zero."""
    honest = day_delivered.delivery(producer)
    for signature in (bent(honest[-65:]), bytes(65)):
        answer = settling(day_delivered, final_prices, honest[:-65] + signature)
        assert said(answer) in ("ECDSAInvalidSignature", "ECDSAInvalidSignatureS")


def test_statement__by_the_member_itself__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A member signs its readings in its meter's place."""
    own = Participant(producer.account, producer.key, producer.zone)
    market, position = day_delivered.market, day_delivered.position(producer)
    forged = market.delivery(0, own, position, [fill + 10**6 for fill in position.fills])
    expected = ("WrongMeter", producer.address, producer.address)
    assert settling(day_delivered, final_prices, forged) == expected


def test_report__malleable_double__refused(day_delivered: Day) -> None:
    """An oracle makes two signatures of one by bending it."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    one = market.sign_imbalance(0, prices, market.oracles[:1])
    for signatures in (one + bent(one), bent(one) + one):
        sent = (0, day_delivered.packed_prices, prices, signatures)
        answer = refusal(market.settlement.postImbalance, *sent, sender=market.owner)
        assert said(answer) in ("ECDSAInvalidSignatureS", "SignersNotAscending")


# ------------------------------------------------------------------------------------------------ contracts


@pytest.fixture
def wallet(market: Community, project: Any) -> Participant:
    """A member that is a contract and agrees to everything."""
    contract = market.owner.deploy(project.ContractWallet, market.owner.address)
    contract.behave(AGREES_TO_ALL, sender=market.owner)
    return admit_contract(market, contract)


def test_wallet__changes_its_mind__bid_stands(
    gate: Community, wallet: Participant, producer: Participant
) -> None:
    """A wallet agrees to a bid and takes its word back once it sees the others'."""
    assert post(gate, 0, [gate.signed_bid(wallet, 0, BUY)]) == []
    gate.bid(producer, 0, [(0, 100, 1_000)])
    wallet.account.behave(REFUSES, sender=gate.owner)
    gate.close_gate(0)
    _, result, _, _ = gate.clear(0)
    assert sum(abs(fill) for fills in result.fills for fill in fills) == 2_000
    assert gate.market.auctionOf(0).cleared


@pytest.mark.parametrize("manner", [BURNS_GAS, ANSWERS_AT_LENGTH], ids=["burns gas", "answers at length"])
def test_wallet__burns_gas__others_are_placed(
    gate: Community, wallet: Participant, producer: Participant, consumer: Participant, manner: int
) -> None:
    """A wallet burns all the gas it gets, so that the batch with the others' bids in it fails."""
    wallet.account.behave(manner, sender=gate.owner)
    batch = [gate.signed_bid(p, 0, [(0, 100, 10)]) for p in (producer, wallet, consumer)]
    receipt = gate.post_signed(0, batch)
    assert {producer.address, consumer.address} <= {member for _, member in gate.bids}
    assert receipt.gas_used < 600_000


def test_wallet__calls_back_while_asked__changes_nothing(
    gate: Community, project: Any, producer: Participant
) -> None:
    """A wallet withdraws its money while the market asks it for its signature, before its bid is locked."""
    wallet = admit_contract(gate, gate.owner.deploy(project.CallingWallet))
    before = free_money = gate.vault.available(wallet.address)
    inside = gate.vault.withdraw.encode_input(free_money)
    wallet.account.arm(gate.vault.address, inside, sender=gate.owner)
    assert post(gate, 0, [gate.signed_bid(wallet, 0, BUY), gate.signed_bid(producer, 0, [])]) == []
    assert gate.vault.accountOf(wallet.address).balance == before
    assert locked(gate, wallet) > 0


def test_wallet__claims_an_account_without_code__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster sends a contract's kind of signature for a member that is none."""
    forged = gate.signed_bid(consumer, 0, BUY)._replace(signature=bytes(32))
    assert post(gate, 0, [forged]) == passed_over(consumer, "WrongSignature")


def test_wallet__vouches_for_another__passed_over(
    gate: Community, wallet: Participant, consumer: Participant
) -> None:
    """A wallet that agrees to everything is named in another member's place."""
    signed = gate.signed_bid(wallet, 0, BUY)._replace(member=consumer.address)
    assert post(gate, 0, [signed]) == passed_over(consumer, "WrongSignature")


def test_wallet__starved_of_gas__bid_can_be_posted_again(gate: Community, wallet: Participant) -> None:
    """A poster gives a wallet too little gas to answer, to have its bid refused for good."""
    signed = gate.signed_bid(wallet, 0, BUY)
    packed = codec.pack_signed_bids([signed])
    gate.market.bidSigned(0, packed, sender=gate.owner, gas_limit=60_000, raise_on_revert=False)
    assert live_bids(gate) == 0
    assert post(gate, 0, [signed]) == []
    assert live_bids(gate) == 1


def test_oracle__wallet_as_signer__refused(day_delivered: Day, project: Any) -> None:
    """An oracle's place is claimed by a contract that agrees to everything: only keys sign reports."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    message = typed_data.imbalance_prices(market.chain_id, market.quorum.address, market.term, 0, prices)
    outsiders = typed_data.sign_all([key_of("outsider 1"), key_of("outsider 2")], message)
    sent = (0, day_delivered.packed_prices, prices, outsiders)
    assert said(refusal(market.settlement.postImbalance, *sent, sender=market.owner)) == "NotASigner"
