"""Sealed bids: copied, opened too early or too late, reused, or never opened."""

from typing import Any

from clearwatt.bids import Bid, Step, pack_steps
from clearwatt.chain import codec
from tests.contracts.attacks.raids import balance, free_money, live_bids, locked, said
from tests.contracts.community import SALT, Community, Participant
from tests.contracts.refusals import Refusal, refusal

SELL, BUY = [(0, 100, 1_000)], [(0, 30_000, -1_000)]
DEPOSIT = -(-10 * 10**8 // 2**20) * 2**20
Steps = list[tuple[int, int, int]]


def opening(
    market: Community, member: Participant, steps: Steps, salt: bytes = SALT, auction: int = 0
) -> Refusal | None:
    packed = pack_steps([Step(*step) for step in steps])
    return refusal(market.market.open, auction, member.address, salt, packed, sender=market.owner)


def forfeiting(market: Community, member: Participant) -> Refusal | None:
    return refusal(market.market.forfeit, 0, member.address, sender=market.owner)


def test_commitment__copied__cannot_be_opened(
    sealed: Community, seller: Participant, buyer: Participant
) -> None:
    """A rival copies another's commitment and its opening, to bid the same."""
    copied = sealed.commitment(seller, 0, SELL)
    sealed.seal(seller, 0, SELL)
    sealed.market.seal(0, copied, sender=buyer.account)
    sealed.close_gate(0)
    sealed.open(seller, 0, SELL)
    assert opening(sealed, buyer, SELL) == ("WrongOpening", 0, buyer.address)


def test_open__before_the_gate_closes__refused(sealed: Community, seller: Participant) -> None:
    """A member opens early, to scare others off or to leave room for another bid."""
    sealed.seal(seller, 0, SELL)
    sealed.travel(sealed.config.schedule.gate_closure(0) - 1)
    assert said(opening(sealed, seller, SELL)) == "NotRevealTime"
    sealed.close_gate(0)
    assert opening(sealed, seller, SELL) is None


def test_open__once_the_others_are_known__refused(sealed: Community, seller: Participant) -> None:
    """A member waits for all others to open and opens, or doesn't, when clearing may begin."""
    sealed.seal(seller, 0, SELL)
    sealed.travel(sealed.config.schedule.clearing_start(0) - 1)
    assert opening(sealed, seller, SELL) is None
    sealed.await_clearing(0)
    assert said(opening(sealed, seller, SELL)) == "NotRevealTime"


def test_open__other_steps_or_salt__refused(sealed: Community, seller: Participant) -> None:
    """A member seals one bid and opens another."""
    sealed.seal(seller, 0, SELL)
    sealed.close_gate(0)
    wrong = ("WrongOpening", 0, seller.address)
    assert opening(sealed, seller, [(0, 101, 1_000)]) == wrong
    assert opening(sealed, seller, [(0, 100, 1_001)]) == wrong
    assert opening(sealed, seller, []) == wrong
    assert opening(sealed, seller, SELL, salt=bytes(32)) == wrong


def test_open__twice__refused(sealed: Community, seller: Participant) -> None:
    """A member opens its bid twice, to be counted twice."""
    sealed.seal(seller, 0, SELL)
    sealed.close_gate(0)
    sealed.open(seller, 0, SELL)
    assert opening(sealed, seller, SELL) == ("WrongOpening", 0, seller.address)
    assert live_bids(sealed) == 1


def test_open__by_somebody_with_the_salt__the_members_bid(
    sealed: Community, seller: Participant, stranger: Any
) -> None:
    """A stranger who has learnt the salt opens a member's bid as its own."""
    sealed.seal(seller, 0, SELL)
    sealed.close_gate(0)
    packed = pack_steps([Step(*step) for step in SELL])
    answer = refusal(sealed.market.open, 0, stranger, SALT, packed, sender=stranger)
    assert answer == ("WrongOpening", 0, stranger.address)
    sealed.open(seller, 0, SELL, sender=stranger)
    assert sealed.bids[0, seller.address].member == seller.address


def test_commitment__of_another_auction__cannot_be_opened(sealed: Community, seller: Participant) -> None:
    """A member seals with the salt and commitment of an earlier auction, to know from its opening what is in it."""
    earlier = sealed.commitment(seller, 0, SELL)
    sealed.travel(sealed.config.schedule.opening(1))
    sealed.market.seal(1, earlier, sender=seller.account)
    sealed.close_gate(1)
    assert opening(sealed, seller, SELL, auction=1) == ("WrongOpening", 1, seller.address)


def test_seal__never_opened__clearing_goes_on(
    sealed: Community, seller: Participant, buyer: Participant
) -> None:
    """A member seals a bid and never opens it, to block the auction for the others."""
    sealed.seal(seller, 0, SELL)
    sealed.seal(buyer, 0, BUY)
    sealed.close_gate(0)
    sealed.open(buyer, 0, BUY)
    sealed.await_clearing(0)
    sealed.clear(0)
    party = balance(sealed, sealed.config.balancing_party)
    sealed.market.forfeit(0, seller.address, sender=sealed.owner)
    assert balance(sealed, sealed.config.balancing_party) == party + DEPOSIT


def test_forfeit__while_it_can_be_opened__refused(sealed: Community, seller: Participant) -> None:
    """A rival has a member's deposit forfeited before its time to open is over."""
    sealed.seal(seller, 0, SELL)
    sealed.travel(sealed.config.schedule.clearing_start(0) - 1)
    assert said(forfeiting(sealed, seller)) == "NotClearingTime"


def test_forfeit__of_an_opened_bid_or_twice__refused(
    sealed: Community, seller: Participant, buyer: Participant
) -> None:
    """A rival has the deposit of an opened bid forfeited, or one deposit twice."""
    sealed.seal(seller, 0, SELL)
    sealed.seal(buyer, 0, BUY)
    sealed.close_gate(0)
    sealed.open(seller, 0, SELL)
    sealed.await_clearing(0)
    assert forfeiting(sealed, seller) == ("NoBid", 0, seller.address)
    sealed.market.forfeit(0, buyer.address, sender=sealed.owner)
    assert forfeiting(sealed, buyer) == ("NoBid", 0, buyer.address)


def test_deposit__withdrawn__refused(sealed: Community, seller: Participant) -> None:
    """A member withdraws the deposit behind its sealed bid."""
    sealed.seal(seller, 0, SELL)
    free = free_money(sealed, seller)
    assert said(refusal(sealed.vault.withdraw, free + 100, sender=seller.account)) == "BalanceTooLow"


def test_deposit__too_poor_to_open__refused_and_forfeited(sealed: Community, buyer: Participant) -> None:
    """A member seals a bid that it can never pay, and loses its deposit."""
    dear = [(0, 400_000, -2_000_000_000)]
    before = balance(sealed, buyer.address)
    sealed.seal(buyer, 0, dear)
    sealed.close_gate(0)
    assert said(opening(sealed, buyer, dear)) == "BalanceTooLow"
    sealed.await_clearing(0)
    sealed.market.forfeit(0, buyer.address, sender=sealed.owner)
    assert balance(sealed, buyer.address) == before - DEPOSIT


def test_seal__replaced_and_cancelled__deposit_comes_back_once(
    sealed: Community, seller: Participant
) -> None:
    """A member seals again and again and cancels twice, to get more deposits back than it made."""
    for steps in (SELL, BUY, SELL):
        sealed.seal(seller, 0, steps)
    assert locked(sealed, seller) == DEPOSIT
    for _ in range(2):
        sealed.market.cancel(0, sender=seller.account)
        assert locked(sealed, seller) == 0


def test_bid__in_the_open__refused(sealed: Community, seller: Participant, market: Community) -> None:
    """A member bids openly where bids are sealed, or seals where they are open."""
    sent = pack_steps([Step(*step) for step in SELL])
    assert refusal(sealed.market.bid, 0, sent, sender=seller.account) == ("SealedMarket",)
    producer = market.participants[1]
    assert refusal(market.market.seal, 0, bytes(32), sender=producer.account) == ("OpenMarket",)


def test_unopened__sent_to_clearing__refused(
    sealed: Community, seller: Participant, buyer: Participant
) -> None:
    """A solver who has learnt a bid that was not opened in time clears with it."""
    sealed.seal(seller, 0, SELL)
    sealed.seal(buyer, 0, BUY)
    sealed.close_gate(0)
    sealed.open(buyer, 0, BUY)
    sealed.bids[0, seller.address] = Bid(seller.address, seller.zone, tuple(Step(*step) for step in SELL))
    sealed.await_clearing(0)
    problem, _, claim = sealed.solve(0)
    sent = (0, codec.pack_prices(claim.prices), codec.pack_marginals(claim.marginals))
    answer = refusal(sealed.clearing.clear, *sent, codec.pack_bids(problem.bids), sender=sealed.owner)
    assert answer == ("E5_BidNotRecorded", seller.address)
