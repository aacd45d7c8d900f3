"""Oracles: dead, lying, too few, changed, or contradicted by members who only want to delay."""

from collections.abc import Sequence
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount

from clearwatt.chain import codec, typed_data
from tests.contracts.attacks.raids import balance, free_money, locked, said, settle_all, settling
from tests.contracts.community import ZERO_ADDRESS, Community, Participant, key_of
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal


def posting(
    day: Day, prices: bytes, oracles: Sequence[LocalAccount] | None = None, signatures: bytes | None = None
) -> Refusal | None:
    """What is said to imbalance prices with these oracles' signatures, or with these bytes for signatures."""
    market = day.market
    signed = market.sign_imbalance(day.auction, prices, oracles) if signatures is None else signatures
    sent = (day.auction, day.packed_prices, prices, signed)
    return refusal(market.settlement.postImbalance, *sent, sender=market.owner)


def disputing(market: Community, member: Any) -> Refusal | None:
    return refusal(market.quorum.dispute, 0, ZERO_ADDRESS, sender=member)


@pytest.fixture
def prices(day_delivered: Day) -> bytes:
    """Imbalance prices that are reported and can still be disputed."""
    return day_delivered.market.post_imbalance(0, day_delivered.claim, wait=False)


@pytest.fixture
def bond(market: Community) -> int:
    return int(market.quorum.disputeBond())


# ------------------------------------------------------------------------------------------------ who signs


def test_quorum__one_liar__refused(day_delivered: Day) -> None:
    """An oracle signs imbalance prices alone, where two must."""
    prices = day_delivered.market.imbalance(day_delivered.claim)
    for oracle in day_delivered.market.oracles:
        assert posting(day_delivered, prices, [oracle]) == ("TooFewSignatures", 1, 2)


def test_quorum__one_signs_twice__refused(day_delivered: Day) -> None:
    """An oracle signs twice to make two of itself."""
    prices, oracle = day_delivered.market.imbalance(day_delivered.claim), day_delivered.market.oracles[0]
    assert posting(day_delivered, prices, [oracle] * 2) == ("SignersNotAscending", oracle.address)


def test_quorum__with_an_outsider__refused(day_delivered: Day) -> None:
    """An oracle brings in somebody who is none."""
    prices, outsider = day_delivered.market.imbalance(day_delivered.claim), key_of("outsider")
    answer = posting(day_delivered, prices, [day_delivered.market.oracles[0], outsider])
    assert answer == ("NotASigner", outsider.address)


def test_quorum__out_of_order__refused(day_delivered: Day) -> None:
    """A poster swaps the oracles' signatures, as a step to naming one twice."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    honest = market.sign_imbalance(0, prices)
    assert said(posting(day_delivered, prices, signatures=honest[65:] + honest[:65])) == "SignersNotAscending"


@pytest.mark.parametrize(
    "change", [lambda s: s[:-1], lambda s: s + b"\0", lambda s: b"", lambda s: bytes(130)]
)
def test_quorum__torn_signatures__refused(day_delivered: Day, change: Any) -> None:
    """A poster cuts the oracles' signatures off, pads them, leaves them out or sends all zero."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    answer = posting(day_delivered, prices, signatures=change(market.sign_imbalance(0, prices)))
    assert said(answer) in ("MalformedSignatures", "TooFewSignatures", "ECDSAInvalidSignature")


def test_quorum__posted_past_settlement__refused(day_delivered: Day) -> None:
    """A poster hands a report to the quorum directly, past what Settlement checks of it."""
    market = day_delivered.market
    prices = market.imbalance(day_delivered.claim)
    signatures = market.sign_imbalance(0, prices)
    refused = ("NotConnectedCaller", market.owner.address)
    assert refusal(market.quorum.postImbalance, 0, prices, signatures, sender=market.owner) == refused
    sent = (0, market.participants[0].address, prices, signatures)
    assert refusal(market.quorum.postSubstitute, *sent, sender=market.owner) == refused


def change_quorum(market: Community) -> None:
    """The owner has announced another quorum and its time has come."""
    others = sorted((key_of(f"new oracle {i}") for i in range(2)), key=lambda key: int(key.address, 16))
    signers = [key.address for key in others]
    market.quorum.announceQuorum(signers, 2, sender=market.owner)
    market.travel(market.chain.pending_timestamp + market.config.owner_delay)
    market.quorum.adoptQuorum(signers, 2, sender=market.owner)


def test_quorum__out_of_office__refused(gate: Community) -> None:
    """A quorum that has been voted out reports with signatures from its time in office."""
    term = gate.term
    change_quorum(gate)
    number = (gate.chain.pending_timestamp - gate.config.schedule.genesis) // 3_600 + 2
    gate.travel(gate.config.schedule.clearing_start(number))
    day = Day(gate, number, *gate.solve(number))
    day.clear()
    gate.travel(gate.config.schedule.delivery_end(number))
    prices = gate.imbalance(day.claim)
    message = typed_data.imbalance_prices(gate.chain_id, gate.quorum.address, term, number, prices)
    for signatures in (
        typed_data.sign_all(gate.signing_oracles, message),
        gate.sign_imbalance(number, prices),  # the right epoch, the wrong people
    ):
        answer = said(posting(day, prices, signatures=signatures))
        assert answer in ("NotASigner", "SignersNotAscending")


# ------------------------------------------------------------------------------------------------ what they sign


def test_prices__that_reward_imbalance__refused(day_delivered: Day) -> None:
    """A quorum signs a surplus price above the market's, or a shortage price below it."""
    market, cleared = day_delivered.market, day_delivered.claim.prices
    above = [[price + 1 for price in row] for row in cleared]
    below = [[price - 1 for price in row] for row in cleared]
    for surplus, shortage in ((above, above), (below, below), (above, below)):
        answer = posting(day_delivered, codec.pack_imbalance(surplus, shortage))
        assert said(answer) == "ImbalanceOutOfOrder"
    assert market.quorum.reportOf(0, ZERO_ADDRESS).standing == 0


def test_prices__beyond_the_markets_bounds__refused(day_delivered: Day) -> None:
    """A quorum signs ruinous imbalance prices, a tick beyond the market's bounds."""
    config, cleared = day_delivered.market.config, day_delivered.claim.prices
    lowest = [[config.min_price - 1] * 4] * 4
    highest = [[config.max_price + 1] * 4] * 4
    for surplus, shortage in ((lowest, cleared), (cleared, highest)):
        answer = posting(day_delivered, codec.pack_imbalance(surplus, shortage))
        assert said(answer) == "ImbalanceOutOfOrder"


def test_prices__a_second_report__refused(day_delivered: Day, prices: bytes) -> None:
    """A quorum reports again once it has seen what its first report does to whom."""
    other = day_delivered.market.imbalance(day_delivered.claim, spread=5)
    assert posting(day_delivered, other) == ("AlreadyReported", 0, ZERO_ADDRESS)


def test_reading__of_the_zero_address__refused(day_delivered: Day) -> None:
    """A quorum reports a reading of the zero address, under which imbalance prices are kept."""
    market = day_delivered.market
    market.travel(market.config.schedule.metering_deadline(0))
    readings = codec.pack_readings((0,) * 4)
    sent = (0, ZERO_ADDRESS, readings, bytes(130))
    answer = refusal(market.settlement.postSubstitute, *sent, sender=market.owner)
    assert answer == ("UnknownMember", ZERO_ADDRESS)


def test_reading__against_the_meters_word__meter_counts(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A quorum reports that a producer delivered nothing, although its meter has signed what it delivered."""
    market = day_delivered.market
    market.travel(market.config.schedule.metering_deadline(0) + 60)
    market.post_substitute(0, producer, (0,) * 4, wait=False)
    substituted = market.substituted(producer, day_delivered.position(producer), (0,) * 4)
    assert settling(day_delivered, final_prices, substituted) == ("SubstituteNotFinal", 0, producer.address)
    market.settle(0, final_prices, [day_delivered.delivery(producer)])
    assert locked(market, producer) == 0


# ------------------------------------------------------------------------------------------------ disputes


def test_disputed__while_undecided__not_used(
    day_delivered: Day, prices: bytes, producer: Participant
) -> None:
    """A settler uses imbalance prices that are under dispute."""
    market = day_delivered.market
    market.quorum.dispute(0, ZERO_ADDRESS, sender=producer.account)
    market.travel(market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom - 1)
    assert settling(day_delivered, prices, day_delivered.delivery(producer)) == ("ImbalanceNotFinal", 0)


def test_fallen__posted_again__refused(day_delivered: Day, prices: bytes, producer: Participant) -> None:
    """A poster brings back the very report that fell; its signatures still fit."""
    market = day_delivered.market
    market.quorum.dispute(0, ZERO_ADDRESS, sender=producer.account)
    market.quorum.decide(0, ZERO_ADDRESS, False, sender=market.owner)
    assert posting(day_delivered, prices) == ("AlreadyReported", 0, ZERO_ADDRESS)
    assert posting(day_delivered, market.imbalance(day_delivered.claim, spread=7)) is None
    assert locked(market, producer) == 0


def test_dispute__by_outsiders__refused(day_delivered: Day, prices: bytes, stranger: Any) -> None:
    """A stranger disputes a report, with nothing at stake."""
    assert disputing(day_delivered.market, stranger) == ("NotAMember", stranger.address)


def test_dispute__without_the_bond__refused(
    day_delivered: Day, prices: bytes, consumer: Participant, bond: int
) -> None:
    """A member disputes a report without the money for its bond."""
    market = day_delivered.market
    market.vault.withdraw(free_money(market, consumer) - bond + 1_000, sender=consumer.account)
    assert said(disputing(market, consumer.account)) == "BalanceTooLow"


def test_dispute__again_and_again__refused(
    day_delivered: Day, prices: bytes, consumer: Participant, producer: Participant, bond: int
) -> None:
    """A debtor disputes a report over and over, to put off its settlement."""
    market, before = day_delivered.market, balance(day_delivered.market, consumer.address)
    party = balance(market, market.config.balancing_party)
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    not_again = ("NotDisputable", 0, ZERO_ADDRESS)
    assert disputing(market, consumer.account) == disputing(market, producer.account) == not_again
    market.quorum.decide(0, ZERO_ADDRESS, True, sender=market.owner)
    assert disputing(market, producer.account) == not_again
    assert balance(market, consumer.address) == before - bond
    assert balance(market, market.config.balancing_party) == party + bond
    settle_all(day_delivered, prices)


def test_dispute__bond_withdrawn__refused(day_delivered: Day, prices: bytes, consumer: Participant) -> None:
    """A member withdraws the bond of its dispute before it is decided."""
    market = day_delivered.market
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    free = free_money(market, consumer)
    assert said(refusal(market.vault.withdraw, free + 100, sender=consumer.account)) == "BalanceTooLow"


def test_dispute__decided_by_others__refused(
    day_delivered: Day, prices: bytes, consumer: Participant
) -> None:
    """A member decides its own dispute."""
    market = day_delivered.market
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    answer = refusal(market.quorum.decide, 0, ZERO_ADDRESS, False, sender=consumer.account)
    assert answer == ("OwnableUnauthorizedAccount", consumer.address)


def test_dispute__lapsed_early_or_twice__refused(
    day_delivered: Day, prices: bytes, consumer: Participant, bond: int
) -> None:
    """A member takes its bond back before the owner's time is over, or takes it twice."""
    market = day_delivered.market
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    assert said(refusal(market.quorum.lapse, 0, ZERO_ADDRESS, sender=consumer.account)) == "TooEarly"
    market.travel(market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom)
    before = locked(market, consumer)
    market.quorum.lapse(0, ZERO_ADDRESS, sender=consumer.account)
    assert locked(market, consumer) == before - bond
    again = refusal(market.quorum.lapse, 0, ZERO_ADDRESS, sender=consumer.account)
    assert again == ("NotDisputed", 0, ZERO_ADDRESS)


def test_dispute__of_nothing__refused(day_delivered: Day, consumer: Participant) -> None:
    """A member disputes a report that was never made, to keep it from being made."""
    assert disputing(day_delivered.market, consumer.account) == ("NotReported", 0, ZERO_ADDRESS)


# ------------------------------------------------------------------------------------------------ silence


def test_oracles__dead__everybody_is_settled(day_cleared: Day) -> None:
    """All oracles and all meters fall silent for good."""
    market = day_cleared.market
    market.travel(market.config.schedule.deemed_from(0))
    market.settlement.postFallback(0, day_cleared.packed_prices, sender=market.owner)
    fallback = codec.pack_imbalance(day_cleared.claim.prices, day_cleared.claim.prices)
    deliveries = [market.deemed(p, day_cleared.position(p)) for p in market.participants]
    market.settle(0, fallback, deliveries)
    assert market.vault.clearingAccount() == 0
    assert all(locked(market, p) == 0 for p in market.participants)


def test_owner__silent_in_a_dispute__report_stands(
    day_delivered: Day, prices: bytes, consumer: Participant
) -> None:
    """An owner never decides a dispute."""
    market = day_delivered.market
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    market.travel(market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom)
    settle_all(day_delivered, prices)
    market.quorum.lapse(0, ZERO_ADDRESS, sender=consumer.account)
    assert locked(market, consumer) == 0


def test_owner__lets_the_last_report_fall__fallback(day_delivered: Day, consumer: Participant) -> None:
    """An owner and a member let the last report fall when there is no time left for another."""
    market, schedule = day_delivered.market, day_delivered.market.config.schedule
    market.travel(schedule.substitute_deadline(0) - 100)
    prices = market.post_imbalance(0, day_delivered.claim, wait=False)
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    market.travel(market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom - 10)
    market.quorum.decide(0, ZERO_ADDRESS, False, sender=market.owner)
    assert said(posting(day_delivered, prices)) == "TooLateToReport"
    market.settlement.postFallback(0, day_delivered.packed_prices, sender=market.owner)
    cleared = day_delivered.claim.prices
    settle_all(day_delivered, codec.pack_imbalance(cleared, cleared))
