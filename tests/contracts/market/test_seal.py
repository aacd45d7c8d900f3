"""A sealed market: bids are committed before the gate closes, opened after, and nobody can tell one from another."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eth_utils import keccak

from clearwatt.bids import Step, pack_steps
from clearwatt.chain import typed_data
from clearwatt.units import MONEY_PER_CURRENCY
from tests.contracts.community import FAR_FUTURE, FUNDS, SALT, TOKENS_PER_CURRENCY, Community, Participant
from tests.contracts.day import Day
from tests.contracts.market.records import BID, LAST_NONCE, SEALED, SPENT, digest, lock_up, record_of
from tests.contracts.refusals import Refusal, refusal

Steps = Sequence[tuple[int, int, int]]

STEPS = [(0, 30_000, -1_000)]
OTHER_STEPS = [(1, 20_000, -1_000)]
REVEAL_WINDOW = 600
DEPOSIT = lock_up(10 * MONEY_PER_CURRENCY)
MONEY = FUNDS * 100
OTHER_SALT = keccak(text="another salt")


@pytest.fixture
def sealed(deploy: Callable[..., Community], accounts: Any) -> Community:
    """A sealed market with three members, the gate of auction 0 open. The first is the balancing party."""
    market = deploy(reveal_window=REVEAL_WINDOW, seal_deposit=10 * MONEY_PER_CURRENCY, ring_size=4)
    market.admit(accounts[1], zone=0)
    market.admit(accounts[3], zone=2)
    market.admit(accounts[4], zone=3)
    market.open_gate(0)
    return market


@pytest.fixture
def member(sealed: Community) -> Participant:
    return sealed.participants[1]


@pytest.fixture
def other(sealed: Community) -> Participant:
    return sealed.participants[2]


def opening(
    market: Community, participant: Participant, steps: Steps, salt: bytes = SALT, auction: int = 0
) -> Refusal | None:
    """What the market says to this opening by anyone."""
    packed = pack_steps([Step(*step) for step in steps])
    return refusal(market.market.open, auction, participant.address, salt, packed, sender=market.owner)


def seal_digest(market: Community, participant: Participant, steps: Steps = STEPS) -> int:
    return int.from_bytes(market.commitment(participant, 0, steps), "big") >> 75


# ------------------------------------------------------------------------------------------------ sealing


def test_seal__member__recorded_with_the_deposit_and_not_counted(
    sealed: Community, member: Participant
) -> None:
    receipt = sealed.seal(member, 0, STEPS)
    commitment = sealed.commitment(member, 0, STEPS)
    [event] = receipt.decode_logs(sealed.market.BidSealed)
    assert (event.auction, event.member, bytes(event.commitment)) == (0, member.address, commitment)
    expected = (seal_digest(sealed, member), LAST_NONCE, DEPOSIT, 0, SEALED)
    assert record_of(sealed, 0, member) == expected
    assert sealed.vault.accountOf(member.address).locked == DEPOSIT
    assert sealed.market.auctionOf(0).liveBids == 0
    sealed.assert_money_conserved()


def test_seal__replaced__one_deposit_and_only_the_last_opens(sealed: Community, member: Participant) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.seal(member, 0, OTHER_STEPS)
    assert sealed.vault.accountOf(member.address).locked == DEPOSIT
    sealed.close_gate(0)
    assert opening(sealed, member, STEPS) == ("WrongOpening", 0, member.address)
    assert opening(sealed, member, OTHER_STEPS) is None


def test_seal__cancelled__deposit_back_and_nothing_to_open(sealed: Community, member: Participant) -> None:
    sealed.seal(member, 0, STEPS)
    receipt = sealed.market.cancel(0, sender=member.account)
    assert [event.member for event in receipt.decode_logs(sealed.market.BidCancelled)] == [member.address]
    assert sealed.vault.accountOf(member.address).locked == 0
    assert record_of(sealed, 0, member) == (0, LAST_NONCE, 0, 0, SPENT)
    assert sealed.market.auctionOf(0).liveBids == 0
    sealed.close_gate(0)
    assert opening(sealed, member, STEPS) == ("WrongOpening", 0, member.address)


def test_seal__gate_times__to_the_second(sealed: Community, member: Participant) -> None:
    start, closure = sealed.config.schedule.opening(0), sealed.config.schedule.gate_closure(0)
    seal = (sealed.market.seal, 0, SALT)
    assert refusal(*seal, sender=member.account) is None
    sealed.travel(closure - 1)
    assert refusal(*seal, sender=member.account) is None
    sealed.travel(closure)
    assert refusal(*seal, sender=member.account) == ("GateNotOpen", 0, start, closure)
    assert refusal(sealed.market.cancel, 0, sender=member.account) == ("GateNotOpen", 0, start, closure)


def test_seal__stranger_suspended_or_poor__refused(
    sealed: Community, member: Participant, other: Participant, stranger: Any
) -> None:
    assert refusal(sealed.market.seal, 0, SALT, sender=stranger) == ("NotAMember", stranger.address)
    sealed.vault.withdraw(MONEY - DEPOSIT + 100, sender=member.account)
    poor = ("BalanceTooLow", member.address, DEPOSIT - 100, DEPOSIT)
    assert refusal(sealed.market.seal, 0, SALT, sender=member.account) == poor
    sealed.registry.suspend(other.address, sender=sealed.owner)
    assert refusal(sealed.market.seal, 0, SALT, sender=other.account) == ("NotAMember", other.address)


def test_bid__sealed_market__refused_in_person_and_signed(sealed: Community, member: Participant) -> None:
    for method, arguments in [(sealed.market.bid, (0, b"")), (sealed.market.bidSigned, (0, b""))]:
        assert refusal(method, *arguments, sender=member.account) == ("SealedMarket",)


def test_seal__open_market__refused_in_person_and_signed(market: Community, producer: Participant) -> None:
    market.open_gate(0)
    assert refusal(market.market.seal, 0, SALT, sender=producer.account) == ("OpenMarket",)
    message = typed_data.sealed_bid(
        market.chain_id, market.market.address, 0, producer.address, 1, FAR_FUTURE, SALT
    )
    signed = (0, SALT, producer.address, 1, FAR_FUTURE, typed_data.sign(producer.key, message))
    assert refusal(market.market.sealSigned, *signed, sender=market.owner) == ("OpenMarket",)


# ------------------------------------------------------------------------------------------------ by signature


def signed_seal(
    market: Community,
    participant: Participant,
    steps: Steps = STEPS,
    nonce: int = 1,
    deadline: int = FAR_FUTURE,
    signer: Participant | None = None,
) -> tuple[Any, ...]:
    """The arguments of `sealSigned` for auction 0."""
    commitment = market.commitment(participant, 0, steps)
    message = typed_data.sealed_bid(
        market.chain_id, market.market.address, 0, participant.address, nonce, deadline, commitment
    )
    signature = typed_data.sign((signer or participant).key, message)
    return (0, commitment, participant.address, nonce, deadline, signature)


def test_seal_signed__posted_by_anyone__recorded_as_if_sealed_in_person(
    sealed: Community, member: Participant, stranger: Any
) -> None:
    receipt = sealed.market.sealSigned(*signed_seal(sealed, member, nonce=3), sender=stranger)
    [event] = receipt.decode_logs(sealed.market.BidSealed)
    assert (event.auction, event.member) == (0, member.address)
    assert record_of(sealed, 0, member) == (seal_digest(sealed, member), 3, DEPOSIT, 0, SEALED)
    assert sealed.vault.accountOf(member.address).locked == DEPOSIT
    sealed.close_gate(0)
    sealed.open(member, 0, STEPS, sender=stranger)
    assert record_of(sealed, 0, member).nonce == 3


def test_seal_signed__nonces__in_order_and_ended_by_sealing_in_person(
    sealed: Community, member: Participant, stranger: Any
) -> None:
    sealed.market.sealSigned(*signed_seal(sealed, member, nonce=3), sender=stranger)
    for nonce in (0, 2, 3, LAST_NONCE, 2**200):
        answer = refusal(sealed.market.sealSigned, *signed_seal(sealed, member, nonce=nonce), sender=stranger)
        assert answer == ("NonceUsed", member.address, 3, LAST_NONCE)
    sealed.market.sealSigned(*signed_seal(sealed, member, OTHER_STEPS, nonce=4), sender=stranger)
    assert record_of(sealed, 0, member).digest == seal_digest(sealed, member, OTHER_STEPS)
    assert sealed.vault.accountOf(member.address).locked == DEPOSIT
    sealed.seal(member, 0, STEPS)
    last = signed_seal(sealed, member, nonce=LAST_NONCE - 1)
    ended = ("NonceUsed", member.address, LAST_NONCE, LAST_NONCE)
    assert refusal(sealed.market.sealSigned, *last, sender=stranger) == ended


def test_seal_signed__deadline__to_the_second(sealed: Community, member: Participant, stranger: Any) -> None:
    deadline = sealed.config.schedule.opening(0) + 100
    for moment, expected in [(deadline, None), (deadline + 1, ("SignatureExpired", deadline))]:
        sealed.travel(moment)
        signed = signed_seal(sealed, member, deadline=deadline)
        assert refusal(sealed.market.sealSigned, *signed, sender=stranger) == expected


def test_seal_signed__by_another_or_over_another_commitment__refused(
    sealed: Community, member: Participant, other: Participant, stranger: Any
) -> None:
    wrong = ("WrongSignature", member.address)
    forged = signed_seal(sealed, member, signer=other)
    assert refusal(sealed.market.sealSigned, *forged, sender=stranger) == wrong
    auction, _, *rest = signed_seal(sealed, member)
    swapped = (auction, sealed.commitment(member, 0, OTHER_STEPS), *rest)
    assert refusal(sealed.market.sealSigned, *swapped, sender=stranger) == wrong


# ------------------------------------------------------------------------------------------------ opening


def test_open__anyone_with_the_salt__bid_live_and_lock_in_place_of_the_deposit(
    sealed: Community, member: Participant, stranger: Any
) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.close_gate(0)
    receipt = sealed.open(member, 0, STEPS, sender=stranger)
    packed = pack_steps([Step(*step) for step in STEPS])
    [event] = receipt.decode_logs(sealed.market.BidsPlaced)
    assert bytes(event.bids) == bytes.fromhex(member.address[2:]) + b"\0\2\0\1" + packed
    lock = lock_up(30_000_000)
    assert record_of(sealed, 0, member) == (digest(b"\0\2\0\1" + packed), LAST_NONCE, lock, 0, BID)
    assert sealed.vault.accountOf(member.address).locked == lock
    assert sealed.market.auctionOf(0).liveBids == 1
    assert opening(sealed, member, STEPS) == ("WrongOpening", 0, member.address)
    sealed.assert_money_conserved()


def test_open__reveal_window__to_the_second(sealed: Community, member: Participant) -> None:
    sealed.seal(member, 0, STEPS)
    closure, start = sealed.config.schedule.gate_closure(0), sealed.config.schedule.clearing_start(0)
    assert start == closure + REVEAL_WINDOW
    not_now = ("NotRevealTime", 0, closure, start)
    for moment, expected in [(closure - 1, not_now), (closure, None), (start - 1, None), (start, not_now)]:
        sealed.travel(moment)
        assert opening(sealed, member, STEPS) == expected


def test_open__not_what_was_sealed__refused(
    sealed: Community, member: Participant, other: Participant
) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.close_gate(0)
    wrong = ("WrongOpening", 0, member.address)
    assert opening(sealed, member, STEPS, salt=OTHER_SALT) == wrong
    assert opening(sealed, member, OTHER_STEPS) == wrong
    assert opening(sealed, member, []) == wrong
    assert opening(sealed, other, STEPS) == ("WrongOpening", 0, other.address)
    assert opening(sealed, member, STEPS) is None


def test_open__copied_commitment__cannot_be_opened_by_the_copier(
    sealed: Community, member: Participant, other: Participant
) -> None:
    copied = sealed.commitment(member, 0, STEPS)
    sealed.seal(member, 0, STEPS)
    sealed.market.seal(0, copied, sender=other.account)
    sealed.close_gate(0)
    sealed.open(member, 0, STEPS)
    assert opening(sealed, other, STEPS) == ("WrongOpening", 0, other.address)
    sealed.await_clearing(0)
    sealed.market.forfeit(0, other.address, sender=member.account)
    sealed.clear(0)
    sealed.assert_money_conserved()


def test_open__commitment_of_another_auction__refused(sealed: Community, member: Participant) -> None:
    sealed.market.seal(0, sealed.commitment(member, 1, STEPS), sender=member.account)
    sealed.close_gate(0)
    assert opening(sealed, member, STEPS) == ("WrongOpening", 0, member.address)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(4, 1, 1)], ("StepSlotUnknown", 0, 4)),
        ([(0, 400_001, 1)], ("StepPriceOutOfBounds", 0, 400_001)),
        ([(0, 1, 1)] * 9, ("TooManySteps", 9, 8)),
    ],
    ids=["no such slot", "price too high", "too many steps"],
)
def test_open__impossible_steps_sealed__refused(
    sealed: Community, member: Participant, steps: Steps, expected: Refusal
) -> None:
    sealed.seal(member, 0, steps)
    sealed.close_gate(0)
    assert opening(sealed, member, steps) == expected


def test_open__too_poor__deposits_more_and_opens(sealed: Community, member: Participant) -> None:
    sealed.seal(member, 0, [(0, 400_000, -10_000)])
    lock = lock_up(400_000 * 10_000)
    sealed.vault.withdraw(MONEY - DEPOSIT, sender=member.account)
    sealed.close_gate(0)
    steps = [(0, 400_000, -10_000)]
    assert opening(sealed, member, steps) == ("BalanceTooLow", member.address, 0, lock - DEPOSIT)
    tokens = -(-(lock - DEPOSIT) * TOKENS_PER_CURRENCY // MONEY_PER_CURRENCY)
    sealed.vault.deposit(member.address, tokens, sender=sealed.owner)
    sealed.open(member, 0, steps)
    assert sealed.vault.accountOf(member.address).locked == lock
    sealed.assert_money_conserved()


def test_open__suspended_since__opens_all_the_same(sealed: Community, member: Participant) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.registry.suspend(member.address, sender=sealed.owner)
    sealed.close_gate(0)
    sealed.open(member, 0, STEPS)
    sealed.await_clearing(0)
    _, result, _, _ = sealed.clear(0)
    assert result.fills == ((0,),)


# ------------------------------------------------------------------------------------------------ clearing


def test_clear__opened_bids__traded_and_the_unopened_left_out(sealed: Community, accounts: Any) -> None:
    retailer, member, other = sealed.participants
    sealed.seal(retailer, 0, [(0, 20_000, 5_000)])
    sealed.seal(member, 0, STEPS)
    sealed.seal(other, 0, STEPS)
    sealed.close_gate(0)
    sealed.open(retailer, 0, [(0, 20_000, 5_000)])
    sealed.open(member, 0, STEPS)
    sealed.await_clearing(0)
    assert sealed.market.auctionOf(0).liveBids == 2
    _, result, _, _ = sealed.clear(0)
    traded = {bid.member: fills for bid, fills in zip(sealed.auction(0).bids, result.fills, strict=True)}
    assert traded == {retailer.address: (1_000,), member.address: (-1_000,)}
    assert record_of(sealed, 0, other).stage == SEALED
    sealed.assert_money_conserved()


def test_clear__reveal_window__not_before_it_is_over(sealed: Community, member: Participant) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.close_gate(0)
    sealed.open(member, 0, STEPS)
    start, deadline = sealed.config.schedule.clearing_start(0), sealed.config.schedule.clearing_deadline(0)
    sealed.travel(start - 1)
    assert clearing_refusal(sealed) == ("NotClearingTime", 0, start, deadline)
    sealed.travel(start)
    assert clearing_refusal(sealed) is None


def clearing_refusal(market: Community) -> Refusal | None:
    return Day(market, 0, *market.solve(0)).refusal()


def test_void__opened_bid__released_and_unopened_forfeited(
    sealed: Community, member: Participant, other: Participant, stranger: Any
) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.seal(other, 0, STEPS)
    sealed.close_gate(0)
    sealed.open(member, 0, STEPS)
    sealed.travel(sealed.config.schedule.clearing_deadline(0))
    both = [member.address, other.address]
    receipt = sealed.market.release(0, both, sender=stranger)
    released = receipt.decode_logs(sealed.market.BidReleased)
    assert [event.member for event in released] == [member.address]
    assert sealed.vault.accountOf(member.address).locked == 0
    assert sealed.vault.accountOf(other.address).locked == DEPOSIT
    sealed.market.forfeit(0, other.address, sender=stranger)
    assert sealed.vault.accountOf(other.address).locked == 0
    sealed.assert_money_conserved()


# ------------------------------------------------------------------------------------------------ forfeiting


def test_forfeit__unopened__deposit_to_the_balancing_party_by_anyones_call(
    sealed: Community, member: Participant, stranger: Any
) -> None:
    party = sealed.config.balancing_party
    before = sealed.vault.accountOf(party).balance
    sealed.seal(member, 0, STEPS)
    sealed.await_clearing(0)
    receipt = sealed.market.forfeit(0, member.address, sender=stranger)
    [event] = receipt.decode_logs(sealed.market.SealForfeited)
    assert (event.auction, event.member) == (0, member.address)
    account = sealed.vault.accountOf(member.address)
    assert (account.balance, account.locked) == (MONEY - DEPOSIT, 0)
    assert sealed.vault.accountOf(party).balance == before + DEPOSIT
    assert record_of(sealed, 0, member).stage == SPENT
    sealed.assert_money_conserved()


def test_forfeit__second_time_opened_or_never_sealed__refused(
    sealed: Community, member: Participant, other: Participant, stranger: Any
) -> None:
    retailer = sealed.participants[0]
    sealed.seal(member, 0, STEPS)
    sealed.seal(other, 0, STEPS)
    sealed.close_gate(0)
    sealed.open(other, 0, STEPS)
    sealed.await_clearing(0)
    sealed.market.forfeit(0, member.address, sender=stranger)
    for participant in (member, other, retailer):
        answer = refusal(sealed.market.forfeit, 0, participant.address, sender=stranger)
        assert answer == ("NoBid", 0, participant.address)


def test_forfeit__reveal_window_still_open__refused_to_the_second(
    sealed: Community, member: Participant, stranger: Any
) -> None:
    sealed.seal(member, 0, STEPS)
    start, deadline = sealed.config.schedule.clearing_start(0), sealed.config.schedule.clearing_deadline(0)
    sealed.travel(start - 1)
    answer = refusal(sealed.market.forfeit, 0, member.address, sender=stranger)
    assert answer == ("NotClearingTime", 0, start, deadline)
    sealed.travel(start)
    assert refusal(sealed.market.forfeit, 0, member.address, sender=stranger) is None


def test_forfeit__record_needed_again__only_after_it(
    sealed: Community, member: Participant, stranger: Any
) -> None:
    sealed.seal(member, 0, STEPS)
    sealed.open_gate(4)
    seal = (sealed.market.seal, 4, SALT)
    assert refusal(*seal, sender=member.account) == ("RecordInUse", 0, member.address)
    sealed.travel(sealed.config.schedule.clearing_deadline(0))
    assert refusal(*seal, sender=member.account) == ("RecordInUse", 0, member.address)
    sealed.market.forfeit(0, member.address, sender=stranger)
    assert refusal(*seal, sender=member.account) is None


# ------------------------------------------------------------------------------------------------ secrecy


def observed(market: Community, member: Participant, steps: Steps) -> dict[str, Any]:
    """All that sealing these steps leaves to see before the gate closes, in hex; the chain is taken back after."""
    before = market.chain.snapshot()
    receipt = market.seal(member, 0, steps)
    transaction = market.chain.provider.web3.eth.get_transaction(receipt.txn_hash)
    seen = {
        "calldata": _hex(transaction["input"]),
        "value": transaction["value"],
        "logs": [
            (log["address"], [_hex(topic) for topic in log["topics"]], _hex(log["data"]))
            for log in receipt.logs
        ],
        "gas": receipt.gas_used,
        "record": record_of(market, 0, member),
        "account": str(market.vault.accountOf(member.address)),
        "auction": str(market.market.auctionOf(0)),
    }
    market.chain.restore(before)
    return seen


def _hex(data: Any) -> str:
    return bytes(data).hex() if isinstance(data, bytes) else str(data).removeprefix("0x")


def test_seal__two_different_bids__look_the_same_but_for_the_commitment(
    sealed: Community, member: Participant
) -> None:
    small, large = [(3, 1, 1)], [(0, 400_000, -20_000), (1, -50_000, 20_000), (2, 7, -3)]
    views = []
    for steps in (small, large):
        view = observed(sealed, member, steps)
        commitment = sealed.commitment(member, 0, steps).hex()
        assert view["record"].digest == int(commitment, 16) >> 75
        assert commitment in view["calldata"]
        assert len(view["logs"]) == 1
        views.append(masked(view, commitment))
    assert views[0].pop("gas") == pytest.approx(views[1].pop("gas"), abs=12 * 32)
    assert views[0] == views[1]


def masked(view: dict[str, Any], commitment: str) -> dict[str, Any]:
    """The view with the commitment struck out wherever it is seen."""
    assert len(commitment) == 64
    return view | {
        "record": view["record"]._replace(digest=0),
        "calldata": view["calldata"].replace(commitment, "*"),
        "logs": [(at, topics, data.replace(commitment, "*")) for at, topics, data in view["logs"]],
    }
