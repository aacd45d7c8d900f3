"""The owner: changes what a bid relied on, takes deposits, stops payments, or gives the office away."""

from typing import Any

from tests.contracts.attacks.raids import balance, free_money, live_bids, locked, said, settle_all, settling
from tests.contracts.community import SALT, ZERO_ADDRESS, Community, Participant, key_of
from tests.contracts.day import Day
from tests.contracts.refusals import refusal

BUY = [(0, 30_000, -1_000)]


def test_meter__swapped_under_a_bid__refused(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """An owner swaps a producer's meter for its own once the producer has sold."""
    market, own = day_delivered.market, key_of("the owner's meter")
    market.registry.announce(producer.address, 2, 1, own.address, sender=market.owner)
    assert said(refusal(market.registry.adopt, producer.address, sender=market.owner)) == "TooEarly"
    forged = day_delivered.delivery(Participant(producer.account, own, 2), (-100, 0, 0, 0))
    assert said(settling(day_delivered, final_prices, forged)) == "WrongMeter"
    assert settling(day_delivered, final_prices, day_delivered.delivery(producer)) is None


def test_change__announced_before_a_bid__comes_after_its_life(gate: Community) -> None:
    """An owner announces a change in secret and brings it into force right after a bid is placed."""
    schedule = gate.config.schedule
    assert gate.registry.parameters().ownerDelay >= schedule.life
    member = gate.participants[1]
    gate.registry.announce(member.address, 3, 1, member.meter.address, sender=gate.owner)
    gate.travel(schedule.deemed_from(0) - 1)
    assert said(refusal(gate.registry.adopt, member.address, sender=gate.owner)) == "TooEarly"


def test_zone__changed_under_a_bid__bid_keeps_its_zone(gate: Community, producer: Participant) -> None:
    """An owner moves a member to a congested zone once it has bid."""
    gate.registry.announce(producer.address, 3, 1, producer.meter.address, sender=gate.owner)
    later = gate.chain.blocks.head.timestamp + gate.config.owner_delay
    number = (later - gate.config.schedule.genesis) // 3_600 + 10
    gate.travel(later - 100)
    gate.bid(producer, number, [(0, 100, 1_000)])
    gate.travel(later)
    gate.registry.adopt(producer.address, sender=gate.owner)
    gate.close_gate(number)
    gate.clear(number)
    assert gate.market.auctionOf(number).cleared


def test_member__admitted_again_with_another_meter__refused(market: Community, producer: Participant) -> None:
    """An owner admits a member a second time to give it another meter at once."""
    sent = (producer.address, 2, 1, key_of("the owner's meter").address)
    expected = ("AlreadyAMember", producer.address)
    assert refusal(market.registry.admit, *sent, sender=market.owner) == expected
    market.registry.suspend(producer.address, sender=market.owner)
    assert refusal(market.registry.admit, *sent, sender=market.owner) == expected


def test_quorum__swapped_at_once__refused(day_delivered: Day) -> None:
    """An owner puts friends in the quorum's place when a report is due."""
    market = day_delivered.market
    friends = [key_of("a friend").address]
    answer = refusal(market.quorum.adoptQuorum, friends, 1, sender=market.owner)
    assert answer == ("NothingAnnounced",)
    market.quorum.announceQuorum(friends, 1, sender=market.owner)
    market.travel(market.config.schedule.substitute_deadline(0))
    assert said(refusal(market.quorum.adoptQuorum, friends, 1, sender=market.owner)) == "TooEarly"


def test_quorum__other_than_announced__refused(market: Community) -> None:
    """An owner announces respectable oracles and puts others in office."""
    market.quorum.announceQuorum([key_of("respectable").address], 1, sender=market.owner)
    market.travel(market.chain.pending_timestamp + market.config.owner_delay)
    friends = [key_of("a friend").address]
    assert refusal(market.quorum.adoptQuorum, friends, 1, sender=market.owner) == ("NotAsAnnounced",)


def test_quorum__impossible__refused(market: Community) -> None:
    """An owner installs a quorum that nobody can reach, or in which one counts twice."""
    one = key_of("an oracle").address
    announce = market.quorum.announceQuorum
    assert refusal(announce, [one], 2, sender=market.owner) == ("QuorumImpossible", 1, 2)
    assert refusal(announce, [one], 0, sender=market.owner) == ("QuorumImpossible", 1, 0)
    assert refusal(announce, [one, one], 2, sender=market.owner) == ("SignersNotAscending", one)
    assert refusal(announce, [ZERO_ADDRESS], 1, sender=market.owner) == ("SignersNotAscending", ZERO_ADDRESS)


def test_suspend__with_a_bid_in_place__settled_as_ever(
    day_delivered: Day, final_prices: bytes, producer: Participant
) -> None:
    """An owner suspends a seller to keep what it earned."""
    market = day_delivered.market
    market.registry.suspend(producer.address, sender=market.owner)
    settle_all(day_delivered, final_prices)
    market.vault.withdraw(free_money(market, producer), sender=producer.account)
    assert balance(market, producer.address) == 0


def test_suspend__to_take_the_deposit__still_opens(sealed: Community, seller: Participant) -> None:
    """An owner suspends a member that has sealed a bid, so that its deposit is forfeited."""
    sealed.seal(seller, 0, [(0, 100, 10)])
    sealed.registry.suspend(seller.address, sender=sealed.owner)
    sealed.close_gate(0)
    sealed.open(seller, 0, [(0, 100, 10)], SALT)
    assert live_bids(sealed) == 1
    assert locked(sealed, seller) == 0


def test_suspend__to_keep_a_bid_in__cancels_all_the_same(gate: Community, consumer: Participant) -> None:
    """An owner suspends a member and keeps its bid from being taken back."""
    gate.bid(consumer, 0, BUY)
    gate.registry.suspend(consumer.address, sender=gate.owner)
    gate.market.cancel(0, sender=consumer.account)
    assert locked(gate, consumer) == 0


def test_pause__after_the_bids__goes_on_to_the_end(day_closed: Day, consumer: Participant) -> None:
    """An owner pauses the market to stop clearing, settlement and withdrawals."""
    market = day_closed.market
    market.market.setPaused(True, sender=market.owner)
    day_closed.clear()
    market.travel(market.config.schedule.delivery_end(0))
    settle_all(day_closed, market.post_imbalance(0, day_closed.claim))
    market.vault.withdraw(free_money(market, consumer), sender=consumer.account)
    assert balance(market, consumer.address) == 0


def test_pause__with_the_gate_open__cancels_all_the_same(gate: Community, consumer: Participant) -> None:
    """An owner pauses the market to lock members into their bids."""
    gate.bid(consumer, 0, BUY)
    gate.market.setPaused(True, sender=gate.owner)
    gate.market.cancel(0, sender=consumer.account)
    assert refusal(gate.market.bid, 0, b"", sender=consumer.account) == ("BiddingPaused",)


def test_pause__by_others__refused(market: Community, producer: Participant) -> None:
    """A member pauses the market as soon as its own bid is in."""
    answer = refusal(market.market.setPaused, True, sender=producer.account)
    assert answer == ("NotOwner", producer.address)


def test_admit__too_many__refused(deploy: Any, accounts: Any) -> None:
    """An owner admits friends until no auction can be cleared, or reinstates one beyond the limit."""
    market = deploy(max_members=2)
    first = market.admit(accounts[3], zone=1)
    market.admit(accounts[4], zone=1)
    meter = key_of("another meter").address
    sent = (accounts[5].address, 1, 0, meter)
    assert refusal(market.registry.admit, *sent, sender=market.owner) == ("CommunityFull", 2)
    market.registry.suspend(first.address, sender=market.owner)
    market.admit(accounts[5], zone=1)
    answer = refusal(market.registry.reinstate, first.address, sender=market.owner)
    assert answer == ("CommunityFull", 2)


def test_admit__too_many_bids_by_turns__refused(deploy: Any, accounts: Any) -> None:
    """An owner admits, suspends and admits friends by turns, to get more bids in than can be cleared."""
    market = deploy(max_members=1)
    first = market.admit(accounts[3], zone=1)
    market.open_gate(0)
    market.bid(first, 0, [])
    market.registry.suspend(first.address, sender=market.owner)
    second = market.admit(accounts[4], zone=1)
    assert refusal(market.market.bid, 0, b"", sender=second.account) == ("AuctionFull", 0)


def test_registry__by_others__refused(market: Community, stranger: Any, producer: Participant) -> None:
    """A stranger admits itself, suspends a rival, reinstates a friend or announces its own meter for another."""
    registry = market.registry
    refused = ("OwnableUnauthorizedAccount", stranger.address)
    particulars = (producer.address, 2, 1, stranger.address)
    assert refusal(registry.admit, stranger, 0, 0, stranger, sender=stranger) == refused
    assert refusal(registry.suspend, producer.address, sender=stranger) == refused
    assert refusal(registry.reinstate, producer.address, sender=stranger) == refused
    assert refusal(registry.announce, *particulars, sender=stranger) == refused
    assert refusal(market.quorum.announceQuorum, [stranger.address], 1, sender=stranger) == refused


def test_money__moved_by_the_owner__refused(market: Community, producer: Participant) -> None:
    """An owner moves, locks or forfeits members' money directly."""
    vault, victim = market.vault, producer.address
    refused = ("NotConnectedCaller", market.owner.address)
    for method, arguments in (
        (vault.settle, (bytes.fromhex(victim[2:]) + b"\xff" * 16 + bytes(16), [0])),
        (vault.forfeit, (victim, 100)),
        (vault.unlock, (victim, 100)),
        (vault.relock, (victim, 0, 100)),
        (vault.adjust, (victim, 0, 100)),
        (vault.tryToReserve, (victim, 0, 100)),
        (vault.payNetwork, (100,)),
        (vault.seat, (victim, 0, False)),
    ):
        assert refusal(method, *arguments, sender=market.owner) == refused


def test_office__taken_at_once__refused(market: Community, stranger: Any) -> None:
    """An owner hands the office to a straw man in the middle of a day, or gives it up so that nobody decides."""
    for contract in (market.registry, market.quorum):
        contract.transferOwnership(stranger, sender=market.owner)
        assert said(refusal(contract.acceptOwnership, sender=stranger)) == "OwnershipTooEarly"
        assert said(refusal(contract.renounceOwnership, sender=market.owner)) == "OwnershipNotRenounceable"


def test_office__after_handing_on__has_no_say(
    market: Community, stranger: Any, producer: Participant
) -> None:
    """A former owner goes on deciding."""
    market.registry.transferOwnership(stranger, sender=market.owner)
    market.travel(market.chain.pending_timestamp + market.config.owner_delay)
    market.registry.acceptOwnership(sender=stranger)
    answer = refusal(market.registry.suspend, producer.address, sender=market.owner)
    assert answer == ("OwnableUnauthorizedAccount", market.owner.address)
    assert refusal(market.market.setPaused, True, sender=market.owner) == ("NotOwner", market.owner.address)


def test_dispute__decided_too_late__refused(day_delivered: Day, consumer: Participant) -> None:
    """An owner decides a dispute after its time, once it knows whom the delay hurts."""
    market = day_delivered.market
    market.post_imbalance(0, day_delivered.claim, wait=False)
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    market.travel(market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom)
    answer = refusal(market.quorum.decide, 0, ZERO_ADDRESS, False, sender=market.owner)
    assert said(answer) == "DecisionTooLate"


def test_dispute__none_there__refused(day_delivered: Day) -> None:
    """An owner strikes down a report that nobody has disputed."""
    market = day_delivered.market
    market.post_imbalance(0, day_delivered.claim, wait=False)
    answer = refusal(market.quorum.decide, 0, ZERO_ADDRESS, False, sender=market.owner)
    assert answer == ("NotDisputed", 0, ZERO_ADDRESS)
