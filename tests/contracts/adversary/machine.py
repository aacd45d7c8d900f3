"""Whole auctions in any order of events, with an adversary that lies in every field before anything honest happens.

Hypothesis chooses what happens next; a `Ledger` keeps what everybody must have. After every step the vault's books
are the ledger's to the unit, and at the end of every run everything is settled and everybody can take its money out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import ape
import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clearwatt.bids import Bid, Step, pack_steps
from clearwatt.chain import codec
from clearwatt.chain.deployment import SOURCES
from tests.contracts.adversary import lies
from tests.contracts.adversary.driver import is_refused, read_books, send, send_in_vain
from tests.contracts.adversary.ledger import Ledger
from tests.contracts.chunked.session import Session
from tests.contracts.community import Community, Participant
from tests.contracts.day import Day
from tests.contracts.market.records import LAST_NONCE, lock_up
from tests.contracts.refusals import reason, refusal

Bundle = tuple[Step, ...]
MEMBERS = 6
members = st.integers(0, MEMBERS - 1)
bundles = st.lists(
    st.builds(
        Step,
        st.integers(0, 3),
        st.integers(-4, 9).map(lambda price: 500 * price),
        st.integers(1, 40).flatmap(lambda size: st.sampled_from([500 * size, -500 * size])),
    ),
    max_size=5,
).map(lambda steps: tuple(sorted(steps)))
deviations = st.lists(st.sampled_from([0, 0, -700, 300, -(10**9)]), min_size=4, max_size=4)


@dataclass
class Hold:
    """What a record stands for. stage: bid, position or void."""

    auction: int
    lock: int
    stage: str = "bid"


@dataclass
class Running:
    """A cleared auction. rows: what settled members may draw. metered: Wh injected per source."""

    day: Day
    unsettled: list[Participant]
    imbalance: bytes = b""
    substitutes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    rows: list[tuple[str, int, int, int]] = field(default_factory=list)
    metered: dict[int, int] = field(default_factory=dict)
    drawn: bool = False


class AuctionMachine(RuleBasedStateMachine):
    """market: the community; every run starts from the same chain. seen: how often what has happened, over all runs."""

    market: ClassVar[Community]
    seen: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.provider = ape.chain.provider
        self.snapshot = self.provider.snapshot()
        self.market.bids.clear()
        entries, clearing, held = read_books(self.market)
        config = self.market.config
        self.ledger = Ledger(config.balancing_party, config.network_account, clearing, held)
        self.ledger.entries.update(entries)
        self.holds: dict[tuple[int, str], Hold] = {}
        self.nonces: dict[tuple[int, str], int] = {}
        self.posted: list[codec.SignedBid] = []
        self.running: list[Running] = []
        self.gate: int | None = None
        self.latest = -1

    # ------------------------------------------------------------ shorthand

    def note(self, what: str, times: int = 1) -> None:
        self.seen[what] = self.seen.get(what, 0) + times

    def must_be_refused(self, calls: Iterable[lies.Call], what: str, sender: Any = None) -> None:
        """All as calls, and one of them as a transaction, after which the invariant looks at the books."""
        tried = list(calls)
        sender = sender or self.market.owner
        for method, arguments in tried:
            assert is_refused(method, *arguments, sender=sender), f"accepted: {method} {arguments}"
        if tried:
            method, arguments = tried[int(self.rng.integers(len(tried)))]
            send_in_vain(method, *arguments, sender=sender)
        self.note(f"lies about {what}", len(tried))

    def place(self, auction: int) -> int:
        return auction % self.market.config.ring_size

    def hold(self, member: Participant) -> Hold | None:
        assert self.gate is not None
        return self.holds.get((self.place(self.gate), member.address))

    def lock_of(self, bundle: Bundle) -> int:
        margin = self.market.config.imbalance_margin
        return lock_up(sum(max(0, -s.quantity * s.price) + abs(s.quantity) * margin for s in bundle))

    def objection(self, member: Participant, lock: int) -> str | None:
        """The error that stands against a bid with this lock."""
        held = self.hold(member)
        if held and held.stage == "position":
            return "RecordInUse"
        if self.ledger[member.address].debt:
            return "InDebt"
        previous = held.lock if held else 0
        return None if self.ledger.affords(member.address, previous, lock) else "BalanceTooLow"

    def note_bid(self, member: Participant, bundle: Bundle, nonce: int) -> None:
        assert self.gate is not None
        held, lock = self.hold(member), self.lock_of(bundle)
        self.ledger.relock(member.address, held.lock if held else 0, lock)
        self.holds[self.place(self.gate), member.address] = Hold(self.gate, lock)
        self.nonces[self.gate, member.address] = nonce
        self.market.bids[self.gate, member.address] = Bid(member.address, member.zone, bundle)

    # ------------------------------------------------------------ bids

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.open_gate()

    @precondition(lambda self: self.gate is None)
    @rule()
    def open_gate(self) -> None:
        """The next auction that has not opened yet."""
        schedule, now = self.market.config.schedule, ape.chain.provider.get_block("latest").timestamp
        length = schedule.slots * schedule.slot_seconds
        self.gate = max(0, (now - schedule.opening(0)) // length + 1)
        self.latest = self.gate
        self.market.travel(schedule.opening(self.gate))
        self.posted.clear()

    @precondition(lambda self: self.gate is not None)
    @rule(who=members, bundle=bundles)
    def bid_in_person(self, who: int, bundle: Bundle) -> None:
        member = self.market.participants[who]
        objection = self.objection(member, self.lock_of(bundle))
        sent = (self.gate, pack_steps(bundle))
        if objection:
            answer = refusal(self.market.market.bid, *sent, sender=member.account)
            assert answer is not None
            assert answer[0] == objection
            self.note(f"bids refused: {objection}")
        else:
            send(self.market.market.bid, *sent, sender=member.account)
            self.note_bid(member, bundle, LAST_NONCE)
            self.note("bids in person")

    @precondition(lambda self: self.gate is not None)
    @rule(batch=st.lists(st.tuples(members, bundles), min_size=1, max_size=4), junk=st.booleans())
    def bid_signed(self, batch: list[tuple[int, Bundle]], junk: bool) -> None:
        """A batch of members' bids, with forgeries and replays between them if there is junk."""
        expected: list[tuple[str, bytes]] = []
        signed: list[codec.SignedBid] = []
        honest: list[codec.SignedBid] = []
        for who, bundle in batch:
            member = self.market.participants[who]
            honest.append(self._sign(member, bundle, expected))
            signed.append(honest[-1])
            if junk:
                signed.append(lies_about(honest[-1], self.rng))
                expected.append((member.address, reason("WrongSignature")))
        if junk and self.posted:
            signed.append(self.posted[int(self.rng.integers(len(self.posted)))])
            expected.append((signed[-1].member, reason("NonceUsed")))
        assert self._passed_over(signed) == expected
        self.posted += [bid for bid in honest if self._counted(bid)]
        self.note("signed bids", len(signed) - len(expected))
        self.note("signed bids passed over", len(expected))

    def _sign(
        self, member: Participant, bundle: Bundle, expected: list[tuple[str, bytes]]
    ) -> codec.SignedBid:
        """The member's next bid; it is noted what must come of it."""
        assert self.gate is not None
        last = self.nonces.get((self.gate, member.address), 0)
        nonce = min(last + 1, LAST_NONCE - 1)
        objection = "NonceUsed" if last == LAST_NONCE else self.objection(member, self.lock_of(bundle))
        if objection:
            expected.append((member.address, reason(objection)))
        else:
            self.note_bid(member, bundle, nonce)
        return self.market.signed_bid(member, self.gate, bundle, nonce)

    def _counted(self, bid: codec.SignedBid) -> bool:
        return bid.nonce <= self.nonces.get((self.gate or 0, bid.member), 0)

    def _passed_over(self, signed: list[codec.SignedBid]) -> list[tuple[str, bytes]]:
        packed = codec.pack_signed_bids(signed)
        receipt = self.market.market.bidSigned(self.gate, packed, sender=self.market.owner)
        events = receipt.decode_logs(self.market.market.BidRefused)
        return [(str(event.member), bytes(event.reason)) for event in events]

    @precondition(lambda self: self.gate is not None)
    @rule(who=members)
    def cancel(self, who: int) -> None:
        member = self.market.participants[who]
        held = self.hold(member)
        if held and held.stage == "position":
            answer = refusal(self.market.market.cancel, self.gate, sender=member.account)
            assert answer == ("RecordInUse", held.auction, member.address)
            return
        send(self.market.market.cancel, self.gate, sender=member.account)
        assert self.gate is not None
        self.nonces[self.gate, member.address] = LAST_NONCE
        self.market.bids.pop((self.gate, member.address), None)
        if held:
            del self.holds[self.place(self.gate), member.address]
            self.ledger.unlock(member.address, held.lock)
            self.note("bids cancelled")

    # ------------------------------------------------------------ money

    @rule(who=members, move=st.sampled_from(["withdraw", "deposit", "collect"]), part=st.integers(2, 10))
    def move_money(self, who: int, move: str, part: int) -> None:
        member = self.market.participants[who]
        vault, entry = self.market.vault, self.ledger[member.address]
        if move == "withdraw":
            self._withdraw(member, entry.free // part)
        elif move == "deposit":
            send(vault.deposit, member.address, part * 10**7, sender=self.market.owner)
            self.ledger.deposit(member.address, part * 10**9)
        else:
            send(vault.collect, member.address, sender=self.market.owner)
            self.ledger.collect(member.address)

    def _withdraw(self, member: Participant, money: int) -> None:
        """Whoever has debts or asks for too much gets nothing."""
        vault, entry = self.market.vault, self.ledger[member.address]
        too_much = [(vault.withdraw, (wanted,)) for wanted in (entry.free + 1, entry.balance + 10**9, 2**80)]
        self.must_be_refused(too_much, "withdrawals", sender=member.account)
        if money >= 100 and not entry.debt:
            send(vault.withdraw, money, sender=member.account)
            self.ledger.withdraw(member.address, money)

    # ------------------------------------------------------------ clearing

    @precondition(lambda self: self.gate is not None)
    @rule(chunk=st.integers(0, 2), void=st.integers(0, 7).map(lambda n: n == 7))
    def clear(self, chunk: int, void: bool) -> None:
        """The gate closes; every lie is tried; then somebody clears in chunks of so many bids, 0 = at once."""
        assert self.gate is not None
        market, number = self.market, self.gate
        market.close_gate(number)
        day = Day(market, number, *market.solve(number))
        self._lie_about_clearing(day)
        self.gate = None
        if void:
            self._let_lapse(number)
            return
        if chunk:
            self._clear_in_chunks(day, chunk)
        else:
            claim = (day.packed_prices, codec.pack_marginals(day.claim.marginals))
            send(market.clearing.clear, number, *claim, day.bids, sender=market.owner)
        assert day.refusal() == ("AlreadyCleared", number)
        self.ledger.pay_network(day.income())
        bidders = [p for p in market.participants if (number, p.address) in market.bids]
        for member in bidders:
            self.holds[self.place(number), member.address].stage = "position"
        self.running.append(Running(day, bidders))
        self.note("auctions cleared in chunks" if chunk else "auctions cleared at once")

    def _lie_about_clearing(self, day: Day) -> None:
        self.must_be_refused(lies.clearing_lies(self.rng, day), "clearing")
        for claim, sound in lies.tampered(self.rng, day):
            assert (day.refusal(claim) is None) == sound, f"{claim} of {day.problem}"
            self.note("tampered claims")

    def _clear_in_chunks(self, day: Day, size: int) -> None:
        session = Session(day, self.market.owner)
        session.begin().fill_all(size)
        self.must_be_refused(lies.session_lies(self.rng, session), "sessions")
        session.close()
        for chunk in range(len(session.entries)):
            assert session.enter_refusal(chunk, entries=bytes(52)) is not None
            session.enter(chunk)

    def _let_lapse(self, number: int) -> None:
        """Nobody clears; whose lock is released by call, and whose by the next bid, is left to chance."""
        market = self.market
        market.travel(market.config.schedule.clearing_deadline(number))
        for member in market.participants:
            held = self.holds.get((self.place(number), member.address))
            if held and held.auction == number:
                held.stage = "void"
                if self.rng.random() < 0.5:
                    self._release(member, held)
        self.note("void auctions")

    def _release(self, member: Participant, held: Hold) -> None:
        market = self.market
        send(market.market.release, held.auction, [member.address], sender=market.owner)
        self.ledger.unlock(member.address, held.lock)
        del self.holds[self.place(held.auction), member.address]

    # ------------------------------------------------------------ reports

    def reportable(self) -> bool:
        """Whether the auction cleared last has no report yet and no gate has opened since, which takes a day."""
        return (
            bool(self.running)
            and self.latest == self.running[-1].day.auction
            and not self.running[-1].imbalance
        )

    @precondition(lambda self: self.gate is None and self.reportable())
    @rule(silent=st.none() | members)
    def report(self, silent: int | None) -> None:
        """Delivery is over; the quorum reports prices, and the reading of whose meter is silent."""
        running = self.running[-1]
        day, market = running.day, self.market
        schedule = market.config.schedule
        market.travel(schedule.delivery_end(day.auction))
        imbalance = market.imbalance(day.claim)
        self.must_be_refused(lies.report_lies(self.rng, day, imbalance), "reports")
        market.travel(schedule.metering_deadline(day.auction))
        market.post_imbalance(day.auction, day.claim)
        running.imbalance = imbalance
        if silent is not None and silent < len(running.unsettled):
            member = running.unsettled[silent]
            readings = tuple(int(x) for x in self.rng.integers(-3_000, 3_000, size=4))
            market.post_substitute(day.auction, member, readings)
            running.substitutes[member.address] = readings
            self.note("substitute readings")

    # ------------------------------------------------------------ settlement

    @precondition(lambda self: any(r.imbalance and r.unsettled for r in self.running))
    @rule(who=members, off=deviations)
    def settle(self, who: int, off: list[int]) -> None:
        """One member of the oldest auction that is not settled yet; the others are lied about as well."""
        running = next(r for r in self.running if r.imbalance and r.unsettled)
        member = running.unsettled[who % len(running.unsettled)]
        position = running.day.position(member)
        readings = running.substitutes.get(member.address)
        honest = readings or tuple(f + d for f, d in zip(position.fills, off, strict=True))
        about = (running.day, running.imbalance, member, honest)
        self.must_be_refused(lies.delivery_lies(self.rng, *about), "deliveries")
        row = (member.address, 0, 0, 0)
        self.must_be_refused([self._drawing(running, row)], "entitlements")
        if readings:
            delivery = self.market.substituted(member, position, readings)
        else:
            delivery = self.market.delivery(running.day.auction, member, position, honest)
        self._settle(running, member, honest, delivery)

    def _settle(
        self, running: Running, member: Participant, readings: tuple[int, ...], delivery: bytes
    ) -> None:
        day, position = running.day, running.day.position(member)
        sent = (day.auction, running.imbalance, delivery)
        send(self.market.settlement.settle, *sent, sender=self.market.owner)
        self.must_be_refused([(self.market.settlement.settle, sent)], "deliveries")
        held = self.holds.pop((self.place(day.auction), member.address))
        imbalance = self._imbalance(running, member.zone, position.fills, readings)
        self.ledger.settle(member.address, held.lock, position.cash, imbalance)
        running.unsettled.remove(member)
        self._note_energy(running, member, position.fills, readings)
        self.note("members settled")

    def _imbalance(
        self, running: Running, zone: int, fills: tuple[int, ...], readings: tuple[int, ...]
    ) -> int:
        grid = self.market.config.grid
        surplus, shortage = codec.unpack_imbalance(running.imbalance, grid.zones, len(fills))
        off = [reading - fill for fill, reading in zip(fills, readings, strict=True)]
        return sum(
            d * int(surplus[zone][slot] if d > 0 else shortage[zone][slot]) for slot, d in enumerate(off)
        )

    def _note_energy(
        self, running: Running, member: Participant, fills: tuple[int, ...], readings: tuple[int, ...]
    ) -> None:
        source = SOURCES[member.source]
        injected = [max(0, reading) for reading in readings]
        surplus = sum(max(0, i - max(0, fill)) for i, fill in zip(injected, fills, strict=True))
        bought = sum(max(0, -fill) for fill in fills)
        running.rows.append((member.address, source, surplus if source else 0, bought))
        running.metered[source] = running.metered.get(source, 0) + sum(injected)

    # ------------------------------------------------------------ energy tokens

    @precondition(lambda self: any(r.rows and not r.unsettled and not r.drawn for r in self.running))
    @rule()
    def draw(self) -> None:
        """Everybody draws what it is entitled to, after it was tried with more."""
        self._draw(next(r for r in self.running if r.rows and not r.unsettled and not r.drawn))

    def _draw(self, running: Running) -> None:
        running.drawn = True
        if not self._records_untouched(running):
            return
        first, last = running.rows[0], running.rows[-1]
        wrong = lies.entitlement_lies(first, last[0])
        self.must_be_refused([self._drawing(running, row) for row in wrong], "entitlements")
        method, (number, rows) = self.market.settlement.drawTokens, (running.day.auction, running.rows)
        send(method, number, rows, sender=self.market.owner)
        self.must_be_refused([self._drawing(running, row) for row in rows], "entitlements")
        for source in (1, 2, 3):
            issued = self.market.token.issued(self.market.token.idOf(number, source))
            assert issued <= running.metered.get(source, 0)
        self.note("auctions drawn")

    def _records_untouched(self, running: Running) -> bool:
        """A claim lapses when a later auction takes the record."""
        place = self.place(running.day.auction)
        later = [number for number, _ in self.nonces if number > running.day.auction]
        return all(self.place(number) != place for number in later)

    def _drawing(self, running: Running, row: tuple[str, int, int, int]) -> lies.Call:
        return self.market.settlement.drawTokens, (running.day.auction, [row])

    # ------------------------------------------------------------ what must hold

    @invariant()
    def books_are_the_ledgers(self) -> None:
        entries, clearing, held = read_books(self.market)
        for account, entry in entries.items():
            assert entry == self.ledger[account], f"{account}: {entry}, should be {self.ledger[account]}"
            assert entry.locked <= entry.balance
        assert (clearing, held) == (self.ledger.clearing, self.ledger.held)
        assert sum(entry.balance for entry in entries.values()) + clearing == held

    def teardown(self) -> None:
        """From wherever it stopped, everything comes to its end by anyone's calls alone."""
        try:
            if hasattr(self, "rng"):
                self._finish()
        finally:
            self.provider.restore(self.snapshot)

    def _finish(self) -> None:
        market = self.market
        if self.gate is not None:
            self.clear(chunk=0, void=False)
        for running in self.running:
            if not running.imbalance:
                self._fall_back(running)
        while any(len(running.unsettled) > 2 for running in self.running):
            self.settle(who=int(self.rng.integers(MEMBERS)), off=[0, -300, 200, 0])
        for running in self.running:
            self._settle_as_deemed(running)
            if running.rows and not running.drawn:
                self._draw(running)
        for (_, address), held in list(self.holds.items()):
            assert held.stage == "void"
            self._release(next(p for p in market.participants if p.address == address), held)
        self.books_are_the_ledgers()
        assert self.ledger.clearing == 0
        for member in market.participants:
            entry = self.ledger[member.address]
            assert entry.locked == 0
            if not entry.debt and entry.balance >= 100:
                assert refusal(market.vault.withdraw, entry.balance, sender=member.account) is None
        self.note("runs")

    def _fall_back(self, running: Running) -> None:
        """Nobody has reported on this auction: imbalance is settled at its own prices."""
        market, day = self.market, running.day
        self._wait_until(market.config.schedule.substitute_deadline(day.auction))
        post = market.settlement.postFallback
        wrong = lies.flipped(self.rng, day.packed_prices)
        self.must_be_refused([(post, (day.auction, wrong))], "fallback prices")
        send(post, day.auction, day.packed_prices, sender=market.owner)
        running.imbalance = codec.pack_imbalance(day.claim.prices, day.claim.prices)

    def _wait_until(self, time: int) -> None:
        if ape.chain.provider.get_block("latest").timestamp < time:
            self.market.travel(time)

    def _settle_as_deemed(self, running: Running) -> None:
        market, day = self.market, running.day
        if not running.unsettled:
            return
        self._wait_until(market.config.schedule.deemed_from(day.auction))
        for member in list(running.unsettled):
            position = day.position(member)
            readings = tuple(min(fill, 0) for fill in position.fills)
            self._settle(running, member, readings, market.deemed(member, position))


def lies_about(bid: codec.SignedBid, rng: np.random.Generator) -> codec.SignedBid:
    """A signed bid with another nonce, other steps, another deadline or a bent signature."""
    return [
        bid._replace(nonce=bid.nonce + 1 if bid.nonce + 1 < LAST_NONCE else 1),
        bid._replace(steps=bid.steps + pack_steps([Step(3, 1, 1)])),
        bid._replace(deadline=bid.deadline - 1),
        bid._replace(signature=lies.flipped(rng, bid.signature)),
        bid._replace(signature=b""),
    ][int(rng.integers(5))]
