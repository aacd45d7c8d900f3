"""Agreeing with the other oracles: each derives the report on its own, and one posts it with enough signatures.

A peer's signature counts only if the peer says the same, to the byte; of one that says otherwise it is told on what.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from eth_account.signers.local import LocalAccount

from clearwatt.chain import typed_data
from clearwatt.chain.typed_data import Office
from clearwatt.oracle.board import Board, Published
from clearwatt.oracle.disagreements import disagreements
from clearwatt.oracle.peers import PeerError
from clearwatt.oracle.reports import (
    MalformedReport,
    Report,
    SignedReport,
    audience_of,
    chain_takes,
    message_of,
    read_report,
    sign_contents,
    sign_report,
)
from clearwatt.oracle.rotation import is_turn
from clearwatt.service import metrics

log = logging.getLogger(__name__)

GATHER_SECONDS = 5.0
GRACE_SECONDS = 0.5
"""How long the others are still listened to once there are enough signatures: to hear who disagrees."""

TOLD = 10_000
"""Disagreements that are remembered, so that each is counted and logged once."""


class Peer(Protocol):
    """What is used of `peers.PeerClient`."""

    name: str

    async def report(self, auction: int) -> bytes | None: ...


@dataclass(frozen=True)
class Gathered:
    """What came of asking the others about one report.

    enough: by subject, the signatures as the chain reads them; subjects with too few are left out.
    disagreements: on what others say otherwise. unheard: who said nothing that could be used, and why.
    """

    enough: Mapping[str, bytes]
    disagreements: list[str]
    unheard: list[str]

    def signatures(self, subject: str) -> bytes | None:
        """At least the threshold, ascending by signer; None = below it."""
        return self.enough.get(subject)


class Quorum:
    """One oracle's part in the quorum.

    key: None if it only looks on. quorum: the OracleQuorum's address. turn_seconds: 0 = no turns.
    zones, slots: of the market.
    """

    def __init__(
        self,
        key: LocalAccount | None,
        chain_id: int,
        quorum: str,
        board: Board,
        peers: Sequence[Peer],
        turn_seconds: float,
        zones: int,
        slots: int,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._key = key
        self._chain_id = chain_id
        self._quorum = quorum
        self._board = board
        self._peers = peers
        self._turn_seconds = turn_seconds
        self._shape = zones, slots
        self._gather_seconds = gather_seconds
        self._told: dict[tuple[int, str], None] = {}

    def my_turn(self, auction: int, now: float, office: Office) -> bool:
        """Whether this oracle is to send transactions for the auction. now: wall clock, Unix time."""
        return self._key is None or is_turn(
            self._key.address, auction, now, self._turn_seconds, office.signers
        )

    def publish(self, report: Report, office: Office) -> None:
        """Sign the report and show it to the others; nothing if this oracle is not in office."""
        if self._key is None or self._key.address not in office.signers:
            return
        shown = self._board.of(report.auction)
        if shown and shown.says(office.term, report):
            return
        signatures = sign_contents(self._key, self._chain_id, self._quorum, office.term, report)
        audience = audience_of(self._chain_id, self._quorum)
        document = sign_report(self._key, audience, office.term, report, signatures)
        self._board.put(Published(office.term, report, signatures, document))

    def gather(self, report: Report, office: Office) -> Gathered:
        """Publish the report, and ask the others for theirs until there are enough signatures for all of it."""
        self.publish(report, office)
        tally = _Tally(self, report, office)
        shown = self._board.of(report.auction)
        if self._key and shown and shown.says(office.term, report):
            tally.count(self._key.address, shown.signatures)
        if not tally.complete():
            asyncio.run(self._ask(report.auction, tally))
        return tally.gathered()

    async def _ask(self, auction: int, tally: "_Tally") -> None:
        """All at once; a peer that hangs is not waited for longer than needed."""
        loop = asyncio.get_running_loop()
        asked = {loop.create_task(peer.report(auction)): peer for peer in self._peers}
        until = loop.time() + self._gather_seconds
        pending = set(asked)
        while pending and loop.time() < until:
            done, pending = await asyncio.wait(
                pending, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                tally.hear(asked[task], task)
            if tally.complete():
                until = min(until, loop.time() + GRACE_SECONDS)
        for task in pending:
            task.cancel()
            tally.unheard.append(f"{asked[task].name} did not answer in time")

    def is_genuine(self, office: Office, report: Report, subject: str, signer: str, signature: bytes) -> bool:
        """Whether the chain will take this as the signer's signature to what our report says of the subject."""
        if not chain_takes(signature):
            return False
        content = report.contents[subject]
        message = message_of(self._chain_id, self._quorum, office.term, report.auction, subject, content)
        try:
            return typed_data.signer_of(message, signature) == signer
        except Exception:  # eth-keys and coincurve have several errors for what is no signature
            return False

    def differences(self, peer: str, ours: Report, theirs: SignedReport) -> list[str]:
        """In words; what is new is logged and counted."""
        texts = []
        for about, text in disagreements(ours, theirs.report, *self._shape):
            texts.append(f"oracle {theirs.author}: {text}")
            if self._is_new(ours.auction, texts[-1]):
                metrics.DISAGREEMENTS.labels(peer, about).inc()
                log.warning("auction %d: %s", ours.auction, texts[-1])
        return texts

    def _is_new(self, auction: int, text: str) -> bool:
        if (auction, text) in self._told:
            return False
        self._told[auction, text] = None
        if len(self._told) > TOLD:
            del self._told[next(iter(self._told))]
        return True

    def unfit(self, report: Report, office: Office, theirs: SignedReport) -> str:
        """Why a peer's document does not answer ours, in words; empty if it does."""
        if theirs.author not in office.signers:
            return f"signed by {theirs.author}, which is not in office"
        if theirs.audience != audience_of(self._chain_id, self._quorum):
            return "of another quorum's oracle"
        if theirs.report.auction != report.auction:
            return f"on auction {theirs.report.auction}"
        if theirs.term != office.term:
            return f"of epoch {theirs.term.epoch}, here the quorum in office is that of epoch {office.epoch}"
        return ""


class _Tally:
    """Signatures gathered for one report."""

    def __init__(self, quorum: Quorum, report: Report, office: Office) -> None:
        self._quorum = quorum
        self._report = report
        self._office = office
        self._signatures: dict[str, dict[str, bytes]] = {subject: {} for subject in report.contents}
        self._disagreements: list[str] = []
        self._authors: set[str] = set()
        self.unheard: list[str] = []

    def count(self, signer: str, signatures: Mapping[str, bytes]) -> None:
        """Genuine ones. A signer is heard once, by whatever way."""
        self._authors.add(signer)
        for subject, signature in signatures.items():
            self._signatures[subject][signer] = signature

    def complete(self) -> bool:
        return all(len(signed) >= self._office.threshold for signed in self._signatures.values())

    def hear(self, peer: Peer, answer: "asyncio.Task[bytes | None]") -> None:
        """Take a peer's answer into account."""
        try:
            document = answer.result()
            if document is None:
                self.unheard.append(f"{peer.name} has no report on auction {self._report.auction} yet")
                return
            theirs = read_report(document)
        except PeerError as error:
            self.unheard.append(str(error))
        except MalformedReport as error:
            self._refuse(peer, f"{peer.name}: its report cannot be read: {error}")
        else:
            self._weigh(peer, theirs)

    def _weigh(self, peer: Peer, theirs: SignedReport) -> None:
        fault = self._quorum.unfit(self._report, self._office, theirs)
        if fault:
            self._refuse(peer, f"{peer.name}: its report is {fault}")
            return
        if theirs.author in self._authors:
            return
        self._disagreements += self._quorum.differences(peer.name, self._report, theirs)
        same = {
            subject: theirs.signatures[subject]
            for subject, content in self._report.contents.items()
            if theirs.report.contents.get(subject) == content
        }
        genuine = {
            subject: signature for subject, signature in same.items() if self._genuine(subject, theirs)
        }
        self.count(theirs.author, genuine)
        metrics.SIGNATURES.labels(peer.name, "counted").inc(len(genuine))
        for subject in same.keys() - genuine.keys():
            self._refuse(peer, f"oracle {theirs.author}: its signature on {_title(subject)} is forged")

    def _genuine(self, subject: str, theirs: SignedReport) -> bool:
        signature = theirs.signatures[subject]
        return self._quorum.is_genuine(self._office, self._report, subject, theirs.author, signature)

    def _refuse(self, peer: Peer, why: str) -> None:
        metrics.SIGNATURES.labels(peer.name, "refused").inc()
        self.unheard.append(why)

    def gathered(self) -> Gathered:
        enough = {}
        for subject, signed in self._signatures.items():
            # no more than needed: each costs gas
            signers = sorted(signed, key=lambda signer: int(signer, 16))[: self._office.threshold]
            if len(signers) == self._office.threshold:
                enough[subject] = b"".join(signed[signer] for signer in signers)
        return Gathered(enough, self._disagreements, self.unheard)


def _title(subject: str) -> str:
    return "imbalance prices" if int(subject, 16) == 0 else f"the reading of member {subject}"
