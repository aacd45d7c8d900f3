"""Members: who take their money out in time, bid what they don't have, get in others' way or never settle."""

from typing import Any

import pytest

from tests.contracts.attacks.raids import (
    balance,
    free_money,
    live_bids,
    locked,
    passed_over,
    post,
    said,
    settled,
)
from tests.contracts.community import Community, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import reason, refusal

BUY = [(0, 30_000, -1_000)]
FAR_OFF = -2_000_000_000


def packed(slot: int, price: int, quantity: int) -> bytes:
    return bytes([slot]) + price.to_bytes(3, "big") + quantity.to_bytes(4, "big", signed=True)


@pytest.fixture
def debtor(day_delivered: Day, final_prices: bytes, consumer: Participant) -> Participant:
    """A consumer that has used far more than it bought and could pay for."""
    market = day_delivered.market
    market.settle(0, final_prices, [day_delivered.delivery(consumer, (FAR_OFF, 0, 0, 0))])
    assert market.vault.accountOf(consumer.address).debt > 0
    return consumer


def test_withdraw__what_is_locked__refused(day_delivered: Day, consumer: Participant) -> None:
    """A buyer withdraws its money between clearing and settlement."""
    market = day_delivered.market
    free = free_money(market, consumer)
    assert locked(market, consumer) > 0
    answer = refusal(market.vault.withdraw, free + 1, sender=consumer.account)
    assert answer == ("BalanceTooLow", consumer.address, free, free + 1)
    market.vault.withdraw(free, sender=consumer.account)


def test_withdraw__by_a_stranger__refused(market: Community, stranger: Any) -> None:
    """A stranger withdraws money that was deposited for others."""
    assert refusal(market.vault.withdraw, 100, sender=stranger) == ("BalanceTooLow", stranger.address, 0, 100)


def test_bid__without_money__refused(gate: Community, consumer: Participant) -> None:
    """A member buys what it cannot pay."""
    gate.vault.withdraw(free_money(gate, consumer), sender=consumer.account)
    answer = refusal(gate.market.bid, 0, packed(0, 30_000, -1_000), sender=consumer.account)
    assert said(answer) == "BalanceTooLow"


def test_bid__same_money_twice__refused(gate: Community, consumer: Participant) -> None:
    """A member replaces its bid by one dearer than all its money, the old bid's lock counted in."""
    gate.bid(consumer, 0, BUY)
    before = locked(gate, consumer)
    money = balance(gate, consumer.address)
    dearer = packed(0, 400_000, -(money // 400_000 + 3))
    assert said(refusal(gate.market.bid, 0, dearer, sender=consumer.account)) == "BalanceTooLow"
    assert locked(gate, consumer) == before


def test_bid__by_a_stranger__refused(gate: Community, stranger: Any) -> None:
    """A stranger bids."""
    assert refusal(gate.market.bid, 0, b"", sender=stranger) == ("NotAMember", stranger.address)
    nobody = Participant(stranger, stranger, 2)
    assert post(gate, 0, [gate.signed_bid(nobody, 0, [])]) == passed_over(nobody, "NotAMember")


def test_batch__with_every_kind_of_bad_bid__others_are_placed(
    gate: Community, producer: Participant, consumer: Participant, remote_consumer: Participant
) -> None:
    """A poor member, one with unsound steps and a forger get into a batch to have it fail for the others."""
    gate.vault.withdraw(free_money(gate, consumer), sender=consumer.account)
    poor = gate.signed_bid(consumer, 0, BUY)
    unsound = gate.signed_bid(remote_consumer, 0, [(0, 2**22, 1)])
    forged = unsound._replace(nonce=9)
    good = gate.signed_bid(producer, 0, [(0, 10, 1_000)])
    expected = [
        (consumer.address, reason("BalanceTooLow")),
        (remote_consumer.address, reason("BundleUnsound")),
        (remote_consumer.address, reason("WrongSignature")),
    ]
    assert post(gate, 0, [poor, unsound, forged, good]) == expected
    assert live_bids(gate) == 1


def test_batch__front_run_by_a_bid_in_person__others_are_placed(
    gate: Community, producer: Participant, consumer: Participant
) -> None:
    """A member runs ahead of a batch with a bid in person, so that its own in the batch is bad."""
    batch = [gate.signed_bid(p, 0, [(0, 20, 10)]) for p in (consumer, producer)]
    gate.bid(consumer, 0, [])
    assert post(gate, 0, batch) == passed_over(consumer, "NonceUsed")
    assert live_bids(gate) == 2


def test_batch__front_run_by_its_own_copy__same_bids(
    gate: Community, producer: Participant, consumer: Participant, stranger: Any
) -> None:
    """A stranger copies a batch out of the pool of pending transactions and posts it first."""
    batch = [gate.signed_bid(p, 0, [(0, 20, 10)]) for p in (consumer, producer)]
    assert post(gate, 0, batch, stranger) == []
    late = post(gate, 0, batch)
    assert late == passed_over(consumer, "NonceUsed") + passed_over(producer, "NonceUsed")
    assert live_bids(gate) == 2


def test_batch__withdrawn_before_it__passed_over(gate: Community, consumer: Participant) -> None:
    """A member withdraws its money between signing and posting."""
    signed = gate.signed_bid(consumer, 0, BUY)
    gate.vault.withdraw(free_money(gate, consumer), sender=consumer.account)
    assert post(gate, 0, [signed]) == passed_over(consumer, "BalanceTooLow")


def test_cancel__twice__lock_comes_back_once(gate: Community, consumer: Participant) -> None:
    """A member cancels twice, to be unlocked twice."""
    gate.travel(gate.config.schedule.opening(1))
    gate.bid(consumer, 1, BUY)
    gate.bid(consumer, 0, BUY)
    gate.market.cancel(0, sender=consumer.account)
    kept = locked(gate, consumer)
    gate.market.cancel(0, sender=consumer.account)
    assert locked(gate, consumer) == kept > 0
    assert live_bids(gate) == 0
    assert live_bids(gate, 1) == 1


def test_member__never_settles__a_stranger_settles_it(
    day_delivered: Day, final_prices: bytes, consumer: Participant, stranger: Any
) -> None:
    """A buyer never settles, to keep what it owes."""
    market, before = day_delivered.market, balance(day_delivered.market, consumer.address)
    delivery = day_delivered.delivery(consumer)
    market.settle(0, final_prices, [delivery], sender=stranger)
    assert balance(market, consumer.address) == before + day_delivered.position(consumer).cash


def test_member__meter_destroyed__settled_as_deemed(
    day_delivered: Day, final_prices: bytes, consumer: Participant
) -> None:
    """A buyer destroys its meter, so that nobody can say what it consumed."""
    market, before = day_delivered.market, balance(day_delivered.market, consumer.address)
    market.travel(market.config.schedule.deemed_from(0))
    market.settle(0, final_prices, [market.deemed(consumer, day_delivered.position(consumer))])
    assert balance(market, consumer.address) == before + day_delivered.position(consumer).cash


def test_seller__meter_destroyed__pays_for_all_it_sold(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A seller that delivered nothing destroys its meter, to be paid all the same."""
    market, before = day_delivered.market, balance(day_delivered.market, producer.address)
    market.travel(market.config.schedule.deemed_from(0))
    market.settle(0, final_prices, [market.deemed(producer, day_delivered.position(producer))])
    assert balance(market, producer.address) < before


def test_debtor__withdraws_or_bids__refused(day_delivered: Day, debtor: Participant) -> None:
    """A debtor withdraws, bids in person or has a bid posted, or disputes."""
    market = day_delivered.market
    owed = market.vault.accountOf(debtor.address).debt
    number = 60
    market.open_gate(number)
    in_debt = ("InDebt", debtor.address, owed)
    assert refusal(market.vault.withdraw, 100, sender=debtor.account) == in_debt
    assert refusal(market.market.bid, number, b"", sender=debtor.account) == in_debt
    assert post(market, number, [market.signed_bid(debtor, number, [])]) == passed_over(debtor, "InDebt")


def test_debtor__paid_by_somebody__debt_first(day_delivered: Day, debtor: Participant) -> None:
    """A debtor has money deposited and withdraws it before the debt is paid."""
    market = day_delivered.market
    owed = market.vault.accountOf(debtor.address).debt
    market.vault.deposit(debtor.address, owed // 200, sender=market.owner)
    assert free_money(market, debtor) == 0
    market.vault.deposit(debtor.address, owed // 200 + 100, sender=market.owner)
    account = market.vault.accountOf(debtor.address)
    assert account.debt == 0
    assert account.balance < 20_000


def test_balancing_party__withdraws_everything__claims_stay(
    day_delivered: Day, final_prices: bytes, retailer: Participant, remote_producer: Participant
) -> None:
    """A balancing party withdraws everything before it has to pay for others' surplus."""
    market = day_delivered.market
    market.vault.withdraw(free_money(market, retailer), sender=retailer.account)
    market.settle(0, final_prices, [day_delivered.delivery(remote_producer, (500_000, 0, 0, 0))])
    claim = market.vault.claimOf(remote_producer.address)
    assert claim > 0
    market.vault.deposit(retailer.address, claim // 100 + 1, sender=market.owner)
    market.vault.collect(remote_producer.address, sender=market.owner)
    assert market.vault.claimOf(remote_producer.address) == 0


def test_claim__collected_twice__pays_once(
    day_delivered: Day, final_prices: bytes, retailer: Participant, remote_producer: Participant
) -> None:
    """A member collects its claim on the balancing party twice."""
    market = day_delivered.market
    market.vault.withdraw(free_money(market, retailer), sender=retailer.account)
    market.settle(0, final_prices, [day_delivered.delivery(remote_producer, (500_000, 0, 0, 0))])
    claim = market.vault.claimOf(remote_producer.address)
    market.vault.deposit(retailer.address, 3 * claim // 100, sender=market.owner)
    before = balance(market, remote_producer.address)
    for _ in range(2):
        market.vault.collect(remote_producer.address, sender=remote_producer.account)
    assert balance(market, remote_producer.address) == before + claim


def test_member__out_of_balance_on_purpose__worse_than_trading(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """A producer holds energy back to sell it as surplus, or sells what it has not and buys the shortage."""
    market, position = day_delivered.market, day_delivered.position(producer)
    prices = day_delivered.claim.prices[producer.zone]
    for deviations in ((5, 5, 5, 5), (-5, -5, -5, -5)):
        before = market.chain.provider.snapshot()
        receipt = market.settle(0, final_prices, [day_delivered.delivery(producer, deviations)])
        [event] = settled(market, receipt)
        assert event.cash == position.cash
        assert event.imbalance < sum(d * price for d, price in zip(deviations, prices, strict=True))
        market.chain.provider.restore(before)


def test_flood__more_bids_than_can_be_cleared__refused(deploy: Any, accounts: Any) -> None:
    """A crowd bids so often that no transaction could clear the auction."""
    market = deploy(max_members=2, max_steps=3)
    crowd = [market.admit(accounts[i], zone=1) for i in (3, 4)]
    market.open_gate(0)
    for member in crowd * 2:
        market.bid(member, 0, [(0, 10, 1)] * 3)
    assert live_bids(market) == 2
    four = packed(0, 10, 1) * 4
    assert refusal(market.market.bid, 0, four, sender=crowd[0].account) == ("TooManySteps", 4, 3)


def test_flood__dust__refused(deploy: Any, accounts: Any) -> None:
    """A member bids single Wh to make everybody's clearing dear."""
    market = deploy(min_quantity=100)
    member = market.admit(accounts[3], zone=1)
    market.open_gate(0)
    assert refusal(market.market.bid, 0, packed(0, 10, 99), sender=member.account) == (
        "StepTooSmall",
        0,
        99,
        100,
    )


def test_retire__others_tokens__refused(market: Community, producer: Participant, stranger: Any) -> None:
    """A stranger retires energy tokens that it does not have."""
    sent = (market.token.idOf(0, 1), 1, producer.address, "mine")
    assert said(refusal(market.token.retire, *sent, sender=stranger)) == "ERC1155InsufficientBalance"
