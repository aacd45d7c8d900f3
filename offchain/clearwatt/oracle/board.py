"""What an oracle shows the others: its latest report on each auction. Written by the cycle, read by the HTTP server."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from clearwatt.chain.typed_data import Office, QuorumTerm
from clearwatt.oracle.reports import Report

KEPT = 512
"""Auctions whose reports are shown; of those reported longest ago nobody asks any more."""


@dataclass(frozen=True)
class Published:
    """A report as it is shown. signatures: by subject. document: as `reports.sign_report` made it."""

    term: QuorumTerm
    report: Report
    signatures: Mapping[str, bytes]
    document: bytes

    def says(self, term: QuorumTerm, report: Report) -> bool:
        """Whether it is still what is to be said, though perhaps of a later block."""
        return self.term == term and replace(self.report, block=report.block) == report


class Board:
    """Thread-safe. allowed: addresses that may ask besides the oracles in office."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._allowed = frozenset(allowed)
        self._office: Office | None = None
        self._block = 0
        self._published: dict[int, Published] = {}

    def update(self, office: Office, block: int) -> None:
        """Who is in office, as of this block; once a cycle."""
        with self._lock:
            self._office, self._block = office, block

    @property
    def block(self) -> int:
        """Number of the block up to which the chain was read; 0 before the first."""
        with self._lock:
            return self._block

    def may_ask(self, address: str) -> bool:
        with self._lock:
            return address in self._allowed or (self._office is not None and address in self._office.signers)

    def put(self, published: Published) -> None:
        """Show this report in place of the one on the same auction."""
        auction = published.report.auction
        with self._lock:
            self._published.pop(auction, None)
            self._published[auction] = published
            while len(self._published) > KEPT:
                del self._published[next(iter(self._published))]

    def of(self, auction: int) -> Published | None:
        with self._lock:
            return self._published.get(auction)
