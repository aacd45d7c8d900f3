"""Paying one member's auction: contract cash, imbalance, what cannot be paid at once, and how it is paid later."""

from typing import Any

import pytest

from tests.contracts.community import Community
from tests.contracts.refusals import refusal
from tests.contracts.vault.conftest import CURRENCY, Till, settling


@pytest.fixture
def funded(till: Till, member: Any, balancing_party: Any) -> Till:
    till.fund(member, CURRENCY)
    till.fund(balancing_party, CURRENCY)
    return till


def assert_conserved(till: Till, *accounts: Any) -> None:
    assert (
        sum(till.balance(account) for account in accounts) + till.vault.clearingAccount() == till.vault.held()
    )


def test_settle__cash_and_imbalance__paid_from_clearing_account_and_balancing_party(
    funded: Till, member: Any, balancing_party: Any
) -> None:
    receipt = funded.settle(member, cash=-100, imbalance=30)
    assert receipt.decode_logs(funded.vault.LeftUnpaid) == []
    assert funded.balance(member) == CURRENCY - 70
    assert funded.balance(balancing_party) == CURRENCY - 30
    assert funded.vault.clearingAccount() == 100
    assert_conserved(funded, member, balancing_party)


def test_settle__lock__released_with_it(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 500, sender=funded.market)
    funded.settle(member, lock=500, cash=-500)
    assert funded.state(member) == (CURRENCY - 500, 0, 0)


def test_settle__balancing_party_itself__imbalance_moves_nothing(funded: Till, balancing_party: Any) -> None:
    funded.settle(balancing_party, cash=200, imbalance=-999)
    assert funded.state(balancing_party) == (CURRENCY + 200, 0, 0)
    assert funded.vault.clearingAccount() == -200


def test_pay_network__income__out_of_the_clearing_account(funded: Till, community: Any) -> None:
    receipt = funded.vault.payNetwork(77, sender=funded.clearing)
    network = community.config.network_account
    [event] = receipt.decode_logs(funded.vault.NetworkPaid)
    assert (event.networkAccount, event.money) == (network, 77)
    assert (funded.balance(network), funded.vault.clearingAccount()) == (77, -77)


# ------------------------------------------------------------------------------------------------ several at once


def test_settle__several__as_if_one_after_the_other(
    funded: Till, member: Any, balancing_party: Any, stranger: Any, chain: Any
) -> None:
    funded.fund(stranger, CURRENCY)
    funded.vault.relock(member, 0, 500, sender=funded.market)
    funded.vault.relock(balancing_party, 0, 70, sender=funded.market)
    payments = [
        (member, 400, -400, -CURRENCY),
        (balancing_party, 60, 90, -999),
        (stranger, 0, 310, 2 * CURRENCY),
        (member, 100, 0, 55),
        (stranger, 0, 0, -7),
    ]
    accounts = (member, balancing_party, stranger)
    views = []
    for batches in ([payments], [[payment] for payment in payments]):
        before = chain.snapshot()
        for batch in batches:
            funded.settle_all(batch)
        claims = [funded.vault.claimOf(account) for account in accounts]
        states = [funded.state(account) for account in accounts]
        views.append((states, claims, funded.vault.clearingAccount()))
        assert_conserved(funded, *accounts)
        chain.restore(before)
    assert views[0] == views[1]
    assert views[0][2] == 400 - 90 - 310
    assert any(views[0][1])


def test_settle__one_pays_what_the_next_is_owed__paid_within_the_call(
    till: Till, member: Any, balancing_party: Any, stranger: Any
) -> None:
    till.fund(member, CURRENCY)
    receipt = till.settle_all([(member, 0, 0, -900), (stranger, 0, 0, 900)])
    assert receipt.decode_logs(till.vault.LeftUnpaid) == []
    assert till.state(stranger) == (900, 0, 0)
    assert till.state(balancing_party) == (0, 0, 0)
    assert_conserved(till, member, balancing_party, stranger)


def test_settle__nobody__nothing_moves(funded: Till, member: Any, balancing_party: Any) -> None:
    funded.settle_all([])
    assert funded.balance(member) == funded.balance(balancing_party) == CURRENCY
    assert funded.vault.clearingAccount() == 0


@pytest.mark.parametrize(("lock", "cash"), [(1, 0), (0, -CURRENCY - 1)], ids=["lock", "cash"])
def test_settle__booking_that_cannot_be__refused_for_everybody(
    funded: Till, member: Any, balancing_party: Any, lock: int, cash: int
) -> None:
    for account in (member, balancing_party):
        arguments = settling([(account, lock, cash, 0)])
        answer = refusal(funded.vault.settle, *arguments, sender=funded.settlement)
        assert answer == ("BookingImpossible", account.address)


def test_booking__more_than_an_account_can_say__refused(funded: Till, community: Community) -> None:
    network = community.config.network_account
    most = 2**80 - 1
    pay = funded.vault.payNetwork
    assert refusal(pay, most, sender=funded.clearing) is None
    assert refusal(pay, most + 1, sender=funded.clearing) == ("BookingImpossible", network)


# ------------------------------------------------------------------------------------------------ debt


def owe(till: Till, member: Any, debt: int) -> None:
    """Charge the member for all it has free, and `debt` more."""
    balance, locked, _ = till.state(member)
    till.settle(member, imbalance=-(balance - locked + debt))


def test_settle__member_cannot_pay__what_it_has_is_taken_and_the_rest_is_debt(
    funded: Till, member: Any, balancing_party: Any
) -> None:
    receipt = funded.settle(member, imbalance=-(CURRENCY + 40))
    assert [(event.account, event.unpaid) for event in receipt.decode_logs(funded.vault.LeftUnpaid)] == [
        (member, -40)
    ]
    assert funded.state(member) == (0, 0, 40)
    assert funded.balance(balancing_party) == 2 * CURRENCY
    assert_conserved(funded, member, balancing_party)


def test_settle__member_cannot_pay__other_locks_stay_untouched(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    owe(funded, member, 40)
    assert funded.state(member) == (300, 300, 40)


def test_debt__open__no_lock_no_withdrawal_nothing_available(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    owe(funded, member, 40)
    in_debt = ("InDebt", member.address, 40)
    assert refusal(funded.vault.withdraw, 1, sender=member) == in_debt
    assert refusal(funded.vault.relock, member, 0, 1, sender=funded.market) == in_debt
    assert refusal(funded.vault.relock, member, 0, 0, sender=funded.market) == in_debt
    assert funded.vault.available(member) == 0


def test_debt__unlock__repaid_from_what_becomes_free(funded: Till, member: Any, balancing_party: Any) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    owe(funded, member, 40)
    funded.vault.unlock(member, 300, sender=funded.market)
    assert funded.state(member) == (260, 0, 0)
    assert_conserved(funded, member, balancing_party)


def test_debt__deposit__repaid_first(funded: Till, member: Any, balancing_party: Any) -> None:
    owe(funded, member, CURRENCY + 40)
    receipt = funded.vault.deposit(member, 10**6, sender=funded.owner)
    assert [event.money for event in receipt.decode_logs(funded.vault.DebtRepaid)] == [CURRENCY]
    assert funded.state(member) == (0, 0, 40)
    funded.fund(member, CURRENCY)
    assert funded.state(member) == (CURRENCY - 40, 0, 0)
    assert funded.vault.available(member) == CURRENCY - 40
    assert_conserved(funded, member, balancing_party)


def test_debt__later_earnings__repaid_first(funded: Till, member: Any, balancing_party: Any) -> None:
    owe(funded, member, 40)
    funded.settle(member, cash=100)
    assert funded.state(member) == (60, 0, 0)
    assert_conserved(funded, member, balancing_party)


# ------------------------------------------------------------------------------------------------ claims


def test_settle__balancing_party_broke__rest_becomes_a_claim(
    funded: Till, member: Any, balancing_party: Any
) -> None:
    funded.vault.relock(balancing_party, 0, 10, sender=funded.market)
    receipt = funded.settle(member, imbalance=CURRENCY)
    assert [(event.account, event.unpaid) for event in receipt.decode_logs(funded.vault.LeftUnpaid)] == [
        (member, 10)
    ]
    assert funded.vault.claimOf(member) == 10
    assert funded.balance(member) == 2 * CURRENCY - 10
    assert funded.state(balancing_party) == (10, 10, 0)
    assert_conserved(funded, member, balancing_party)


def test_collect__balancing_party_has_money_again__claim_paid_by_anyones_call(
    funded: Till, member: Any, balancing_party: Any, stranger: Any
) -> None:
    funded.settle(member, imbalance=2 * CURRENCY)
    funded.vault.deposit(balancing_party, 600_000, sender=funded.owner)
    receipt = funded.vault.collect(member, sender=stranger)
    assert [event.money for event in receipt.decode_logs(funded.vault.ClaimPaid)] == [60_000_000]
    assert funded.vault.claimOf(member) == 40_000_000
    funded.fund(balancing_party, CURRENCY)
    funded.vault.collect(member, sender=stranger)
    assert funded.vault.claimOf(member) == 0
    assert (funded.balance(member), funded.balance(balancing_party)) == (3 * CURRENCY, 60_000_000)


def test_collect__nothing_owed__nothing_moves(funded: Till, member: Any, balancing_party: Any) -> None:
    for account in (member, balancing_party):
        assert funded.vault.collect.call(account, sender=member) == 0
        assert list(funded.vault.collect(account, sender=member).logs) == []
    assert funded.balance(member) == funded.balance(balancing_party) == CURRENCY


def test_collect__balancing_party_still_broke__nothing_moves(
    till: Till, member: Any, balancing_party: Any
) -> None:
    till.settle(member, imbalance=70)
    assert till.vault.collect.call(member, sender=member) == 0
    assert list(till.vault.collect(member, sender=member).logs) == []
    assert (till.vault.claimOf(member), till.balance(member)) == (70, 0)
    till.fund(balancing_party, CURRENCY)
    assert till.vault.collect.call(member, sender=member) == 70


def test_collect__member_in_debt__debt_repaid_from_the_claim(
    funded: Till, member: Any, balancing_party: Any
) -> None:
    funded.settle(member, imbalance=CURRENCY + 100)
    funded.vault.withdraw(2 * CURRENCY, sender=member)
    funded.settle(member, imbalance=-30)
    funded.fund(balancing_party, CURRENCY)
    funded.vault.collect(member, sender=member)
    assert funded.state(member) == (70, 0, 0)
    assert_conserved(funded, member, balancing_party)
