"""Oracles of one quorum, each with its board and a real HTTP server on this machine."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from eth_account import Account
from eth_account.signers.local import LocalAccount

from clearwatt.chain.market import PRICES
from clearwatt.chain.typed_data import Office
from clearwatt.metering.messages import Message
from clearwatt.oracle.board import Board
from clearwatt.oracle.http import exchange_router
from clearwatt.oracle.peers import PeerClient
from clearwatt.oracle.quorum import Quorum
from clearwatt.oracle.reports import STATEMENT, Input, Report, audience_of
from clearwatt.service.server import Server, make_app
from clearwatt.storage.database import StoreError

CHAIN_ID = 31_337
QUORUM = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
AUDIENCE = audience_of(CHAIN_ID, QUORUM)
AUCTION, ZONES, SLOTS = 7, 1, 2
KEYS: list[LocalAccount] = sorted(
    (Account.from_key(number.to_bytes(32, "big")) for number in (1, 2, 3)),
    key=lambda key: int(key.address, 16),
)
OFFICE = Office(4, tuple(key.address for key in KEYS), 2)
STRANGER: LocalAccount = Account.from_key((9).to_bytes(32, "big"))
MEMBER, SILENT = (f"0x{number:040x}" for number in (2, 3))


def imbalance(shortage: int = 30_000) -> bytes:
    """Surplus prices 8000 and 8000, shortage prices 30000 and, unless told, 30000; packed."""
    return b"".join(price.to_bytes(3, "big") for price in (8_000, 8_000, 30_000, shortage))


def report(**changes: object) -> Report:
    """On imbalance prices, by one member's statement."""
    content = {
        "auction": AUCTION,
        "block": 100,
        "contents": {PRICES: imbalance()},
        "inputs": {MEMBER: Input(STATEMENT, b"\x01" * 32)},
    }
    return Report(**(content | changes))  # type: ignore[arg-type]


@dataclass
class Log:
    """A message log without a database."""

    store_id: str = "one"
    messages: list[tuple[int, Message]] = field(default_factory=list)
    away: bool = False

    def after(self, cursor: int, limit: int = 500) -> list[tuple[int, Message]]:
        if self.away:
            raise StoreError("the database is away")
        return [row for row in self.messages if row[0] > cursor][:limit]


@dataclass
class Oracle:
    """One of the quorum."""

    key: LocalAccount
    board: Board
    log: Log
    server: Server
    quorum: Quorum

    def client(self, key: LocalAccount, **more: float) -> PeerClient:
        return PeerClient(self.server.url, key, AUDIENCE, **more)


@contextmanager
def oracles(count: int = 3, clock: Callable[[], float] | None = None) -> Iterator[list[Oracle]]:
    """So many oracles that know each other."""
    more = {"clock": clock} if clock else {}
    with ExitStack() as stack:
        boards, logs = [Board() for _ in range(count)], [Log() for _ in range(count)]
        servers = [
            stack.enter_context(
                Server(make_app([exchange_router(board, log, AUDIENCE, key.address, **more)]), "127.0.0.1", 0)
            )
            for board, log, key in zip(boards, logs, KEYS, strict=False)
        ]
        found = []
        for board, log, server, key in zip(boards, logs, servers, KEYS, strict=False):
            board.update(OFFICE, 100)
            peers = [PeerClient(other.url, key, AUDIENCE) for other in servers if other is not server]
            quorum = quorum_of(key, board, peers)
            found.append(Oracle(key, board, log, server, quorum))
        yield found


def quorum_of(
    key: LocalAccount | None, board: Board, peers: list[PeerClient], seconds: float = 1.0
) -> Quorum:
    return Quorum(key, CHAIN_ID, QUORUM, board, peers, 10.0, ZONES, SLOTS, gather_seconds=seconds)
