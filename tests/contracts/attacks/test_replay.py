"""Replay: what was signed or done once, tried again elsewhere or later."""

from typing import Any

import pytest

from clearwatt.bids import Step, pack_steps
from clearwatt.chain import codec, typed_data
from tests.contracts.attacks.raids import forked, live_bids, passed_over, post, said, settle_all, settling
from tests.contracts.community import FAR_FUTURE, SALT, Community, Participant
from tests.contracts.day import Day, close_day
from tests.contracts.refusals import refusal

CHEAP, DEAR = [(0, 100, -1_000)], [(0, 30_000, -1_000)]


def cancellation(market: Community, member: Participant, nonce: int, chain_id: int | None = None) -> bytes:
    message = typed_data.cancellation(
        chain_id or market.chain_id, market.market.address, 0, member.address, nonce, FAR_FUTURE
    )
    return typed_data.sign(member.key, message)


def cancelling(market: Community, member: Participant, nonce: int, signature: bytes) -> Any:
    sent = (0, member.address, nonce, FAR_FUTURE, signature)
    return refusal(market.market.cancelSigned, *sent, sender=market.owner)


# ------------------------------------------------------------------------------------------------ bids


def test_signed_bid__after_a_newer_one__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster brings back the bid that its member has replaced."""
    dear, cheap = gate.signed_bid(consumer, 0, DEAR, nonce=1), gate.signed_bid(consumer, 0, CHEAP, nonce=2)
    assert post(gate, 0, [dear, cheap]) == []
    assert post(gate, 0, [dear]) == passed_over(consumer, "NonceUsed")
    assert gate.bids[0, consumer.address].steps[0].price == 100


def test_signed_bid__twice_in_a_batch__counts_once(gate: Community, consumer: Participant) -> None:
    """A poster puts the same signed bid into a batch twice."""
    signed = gate.signed_bid(consumer, 0, DEAR)
    assert post(gate, 0, [signed, signed]) == passed_over(consumer, "NonceUsed")
    assert live_bids(gate) == 1


def test_signed_bid__in_another_auction__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster uses the bid signed for one auction in the next."""
    gate.travel(gate.config.schedule.opening(1))
    assert post(gate, 1, [gate.signed_bid(consumer, 0, DEAR)]) == passed_over(consumer, "WrongSignature")


def test_signed_bid__a_turn_of_the_ring_later__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster waits until the ring has turned and the bid's record is free again."""
    signed = gate.signed_bid(consumer, 0, DEAR)
    gate.open_gate(gate.config.ring_size)
    assert post(gate, gate.config.ring_size, [signed]) == passed_over(consumer, "WrongSignature")


def test_signed_bid__of_another_market__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster uses the bid that a member of two markets signed for the other."""
    steps = pack_steps([Step(*step) for step in DEAR])
    other = typed_data.bid(gate.chain_id, gate.vault.address, 0, consumer.address, 1, FAR_FUTURE, steps)
    signed = gate.signed_bid(consumer, 0, DEAR)._replace(signature=typed_data.sign(consumer.key, other))
    assert post(gate, 0, [signed]) == passed_over(consumer, "WrongSignature")


def test_signed_bid__of_another_chain__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster uses the bid signed for the same market on another chain."""
    steps = pack_steps([Step(*step) for step in DEAR])
    other = typed_data.bid(gate.chain_id + 1, gate.market.address, 0, consumer.address, 1, FAR_FUTURE, steps)
    signed = gate.signed_bid(consumer, 0, DEAR)._replace(signature=typed_data.sign(consumer.key, other))
    assert post(gate, 0, [signed]) == passed_over(consumer, "WrongSignature")


def test_signed_bid__under_another_name__passed_over(
    gate: Community, consumer: Participant, producer: Participant
) -> None:
    """A poster puts one member's name on another member's signed bid."""
    signed = gate.signed_bid(consumer, 0, DEAR)._replace(member=producer.address)
    assert post(gate, 0, [signed]) == passed_over(producer, "WrongSignature")


def test_signed_bid__after_cancelling_in_person__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster brings back a bid that its member has taken back in person, with a nonce not used yet."""
    assert post(gate, 0, [gate.signed_bid(consumer, 0, DEAR)]) == []
    gate.market.cancel(0, sender=consumer.account)
    assert post(gate, 0, [gate.signed_bid(consumer, 0, DEAR, nonce=2)]) == passed_over(consumer, "NonceUsed")
    assert live_bids(gate) == 0


def test_signed_bid__held_back_until_cancelled__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster holds a bid back and posts it after the member's later cancellation."""
    held_back = gate.signed_bid(consumer, 0, DEAR, nonce=1)
    sent = (0, consumer.address, 2, FAR_FUTURE, cancellation(gate, consumer, 2))
    gate.market.cancelSigned(*sent, sender=gate.owner)
    assert post(gate, 0, [held_back]) == passed_over(consumer, "NonceUsed")


def test_signed_bid__held_back_until_bid_in_person__passed_over(
    gate: Community, consumer: Participant
) -> None:
    """A poster holds a signed bid back to overwrite the one that the member then placed in person."""
    held_back = gate.signed_bid(consumer, 0, DEAR, nonce=4_094)
    gate.bid(consumer, 0, CHEAP)
    assert post(gate, 0, [held_back]) == passed_over(consumer, "NonceUsed")
    assert gate.bids[0, consumer.address].steps[0].price == 100


def test_cancellation__against_a_newer_bid__refused(gate: Community, consumer: Participant) -> None:
    """A poster replays a member's old cancellation against its newer bid."""
    signature = cancellation(gate, consumer, 1)
    gate.market.cancelSigned(0, consumer.address, 1, FAR_FUTURE, signature, sender=gate.owner)
    assert post(gate, 0, [gate.signed_bid(consumer, 0, DEAR, nonce=2)]) == []
    assert cancelling(gate, consumer, 1, signature) == ("NonceUsed", consumer.address, 2, 4_095)


def test_cancellation__signed_as_a_bid__refused(gate: Community, consumer: Participant) -> None:
    """A poster uses a member's bid as a cancellation."""
    signature = gate.signed_bid(consumer, 0, []).signature
    assert cancelling(gate, consumer, 1, signature) == ("WrongSignature", consumer.address)


def test_cancellation__after_a_fork__refused(gate: Community, consumer: Participant) -> None:
    """A poster takes what a member signed before a fork to the branch with the new chain id."""
    before = cancellation(gate, consumer, 1)
    with forked(gate) as chain_id:
        after = cancellation(gate, consumer, 1, chain_id)
        assert cancelling(gate, consumer, 1, before) == ("WrongSignature", consumer.address)
        assert cancelling(gate, consumer, 1, after) is None
    assert cancelling(gate, consumer, 1, before) is None


def test_seal__signature_of_another_commitment__refused(sealed: Community, buyer: Participant) -> None:
    """A poster swaps the commitment under a member's signed sealed bid."""
    own = sealed.commitment(buyer, 0, DEAR)
    message = typed_data.sealed_bid(
        sealed.chain_id, sealed.market.address, 0, buyer.address, 1, FAR_FUTURE, own
    )
    signature = typed_data.sign(buyer.key, message)
    other = sealed.commitment(buyer, 0, CHEAP, SALT)
    for commitment, expected in ((other, ("WrongSignature", buyer.address)), (own, None)):
        sent = (0, commitment, buyer.address, 1, FAR_FUTURE, signature)
        assert refusal(sealed.market.sealSigned, *sent, sender=sealed.owner) == expected


# ------------------------------------------------------------------------------------------------ meters


def statement(day: Day, participant: Participant, **changes: Any) -> bytes:
    """A delivery whose statement the meter signed for somewhere else."""
    market, position = day.market, day.position(participant)
    meant = {
        "chain_id": market.chain_id,
        "settlement": market.settlement.address,
        "auction": day.auction,
        "member": participant.address,
        "readings": position.fills,
    }
    signature = typed_data.sign(participant.meter, typed_data.meter_statement(**(meant | changes)))
    packed = codec.pack_position(position), codec.pack_readings(position.fills)
    return codec.pack_delivery(participant.address, typed_data.Evidence.METER, *packed, signature)


@pytest.mark.parametrize(
    "changes",
    [{"auction": 1}, {"chain_id": 1}, {"settlement": "0x" + "11" * 20}, {"member": "0x" + "22" * 20}],
    ids=["auction", "chain", "contract", "member"],
)
def test_statement__signed_for_elsewhere__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant, changes: dict[str, Any]
) -> None:
    """A settler uses a meter's statement of another auction, chain, contract or member."""
    assert settling(day_delivered, final_prices, statement(day_delivered, producer)) is None
    refused = settling(day_delivered, final_prices, statement(day_delivered, producer, **changes))
    assert said(refused) == "WrongMeter"


def test_statement__after_a_fork__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A settler takes a meter's statement to the branch of a fork that has another chain id."""
    delivery = day_delivered.delivery(producer)
    with forked(day_delivered.market):
        assert said(settling(day_delivered, final_prices, delivery)) == "WrongMeter"
    assert settling(day_delivered, final_prices, delivery) is None


def test_settle__again__refused(day_delivered: Day, final_prices: bytes, producer: Participant) -> None:
    """A settler settles a member that earned well a second time."""
    delivery = day_delivered.delivery(producer)
    day_delivered.market.settle(0, final_prices, [delivery])
    assert settling(day_delivered, final_prices, delivery) == ("RecordMismatch", 0, producer.address)


def test_settle__record_reused__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A settler brings a settled delivery again after the ring has given its record to a later auction."""
    market, delivery = day_delivered.market, day_delivered.delivery(producer)
    settle_all(day_delivered, final_prices)
    later = market.config.ring_size * 10
    day = close_day(market, later)
    day.clear()
    market.travel(market.config.schedule.delivery_end(later))
    mine = ("RecordMismatch", 0, producer.address)
    assert settling(day_delivered, final_prices, delivery) == mine
    later_imbalance = market.post_imbalance(later, day.claim)
    theirs = settling(day, later_imbalance, delivery)
    assert said(theirs) == "WrongMeter"  # the two days are equal but for the auction the meter signed


def test_draw__again__refused(day_delivered: Day, final_prices: bytes, consumer: Participant) -> None:
    """A member draws its energy tokens twice."""
    settle_all(day_delivered, final_prices)
    market = day_delivered.market
    bought = -sum(fill for fill in day_delivered.position(consumer).fills if fill < 0)
    row = [(consumer.address, 0, 0, bought)]
    market.settlement.drawTokens(0, row, sender=consumer.account)
    answer = refusal(market.settlement.drawTokens, 0, row, sender=consumer.account)
    assert answer == ("RecordMismatch", 0, consumer.address)


def test_settle__under_the_next_rounds_number__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A settler names the auction one turn of the ring later, which has the same record."""
    later, position = day_delivered.market.config.ring_size, day_delivered.position(producer)
    delivery = day_delivered.market.delivery(later, producer, position, position.fills)
    assert said(settling(day_delivered, final_prices, delivery, auction=later)) == "NotDelivered"
    assert said(settling(day_delivered, final_prices, delivery)) == "WrongMeter"


# ------------------------------------------------------------------------------------------------ reports


def test_report__of_another_auction__refused(day_delivered: Day) -> None:
    """A poster uses imbalance prices that the quorum signed for another auction."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    answer = refusal(
        market.settlement.postImbalance,
        0,
        day_delivered.packed_prices,
        prices,
        market.sign_imbalance(1, prices),
        sender=market.owner,
    )
    assert said(answer) in ("NotASigner", "SignersNotAscending")


@pytest.mark.parametrize("place", ["chain_id", "quorum"])
def test_report__of_another_place__refused(day_delivered: Day, place: str) -> None:
    """A poster uses imbalance prices that the quorum signed for another chain or another market."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    meant = {"chain_id": market.chain_id, "quorum": market.quorum.address}
    meant |= {"chain_id": 1} if place == "chain_id" else {"quorum": market.vault.address}
    message = typed_data.imbalance_prices(**meant, term=market.term, auction=0, prices=prices)
    sent = (0, day_delivered.packed_prices, prices, typed_data.sign_all(market.signing_oracles, message))
    answer = refusal(market.settlement.postImbalance, *sent, sender=market.owner)
    assert said(answer) in ("NotASigner", "SignersNotAscending")


def test_report__prices_as_a_reading__refused(day_delivered: Day, producer: Participant) -> None:
    """A poster passes imbalance prices that the quorum signed off as a member's reading."""
    market = day_delivered.market
    market.travel(market.config.schedule.metering_deadline(0))
    readings = codec.pack_readings((0, 0, 0, 0))
    signatures = market.sign_imbalance(0, readings)
    sent = (0, producer.address, readings, signatures)
    answer = refusal(market.settlement.postSubstitute, *sent, sender=market.owner)
    assert said(answer) in ("NotASigner", "SignersNotAscending")


def test_report__reading_of_another_member__refused(
    day_delivered: Day, producer: Participant, consumer: Participant
) -> None:
    """A poster uses the reading that the quorum signed for one member for another."""
    market = day_delivered.market
    market.travel(market.config.schedule.metering_deadline(0))
    signatures = market.sign_substitute(0, producer, (9, 9, 9, 9))
    sent = (0, consumer.address, codec.pack_readings((9, 9, 9, 9)), signatures)
    answer = refusal(market.settlement.postSubstitute, *sent, sender=market.owner)
    assert said(answer) in ("NotASigner", "SignersNotAscending")
