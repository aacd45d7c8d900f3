"""Whether an oracle could work as it is configured: everything it needs, tried once before it is left running."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount

from clearwatt.chain.endpoints import shown
from clearwatt.chain.market import MarketClient
from clearwatt.chain.node import NodeError, Refused, connect, latest
from clearwatt.errors import UserError
from clearwatt.oracle.peers import PeerClient, PeerError
from clearwatt.oracle.reports import audience_of
from clearwatt.oracle.service import open_market
from clearwatt.oracle.settings import Connections
from clearwatt.storage.database import Database, StoreError
from clearwatt.storage.sealing import Keyring

OLDEST_HEAD_SECONDS = 600
CLOCK_SECONDS = 60
WEI_PER_ETHER = 10**18
LEAST_WEI = WEI_PER_ETHER // 100
FAILURES = (UserError, NodeError, Refused, StoreError, PeerError)


@dataclass(frozen=True)
class Finding:
    """One thing that was tried. text: what was found, or what is wrong."""

    subject: str
    good: bool
    text: str


class Preflight:
    """key: None if the oracle is only to look on."""

    def __init__(self, connections: Connections, key: LocalAccount | None, keyring: Keyring) -> None:
        self._connections = connections
        self._key = key
        self._keyring = keyring

    def findings(self) -> Iterator[Finding]:
        """One after the other, as they are tried."""
        for url in (part.strip() for text in self._connections.rpc for part in text.split(",")):
            yield _tried(f"endpoint {shown(url)}", lambda url=url: _endpoint(url))
        clients: list[MarketClient] = []
        yield _tried("contracts", lambda: self._contracts(clients))
        for client in clients:
            yield _tried("key", lambda client=client: self._signer(client))
            for url in self._connections.peers:
                yield _tried(f"peer {shown(url)}", lambda url=url, client=client: self._peer(url, client))
        yield _tried("database", self._database)
        yield Finding("encryption", self._keyring.encrypts, self._encryption())

    def _contracts(self, found: list[MarketClient]) -> str:
        client = open_market(self._connections)
        office = client.pinned().office
        found.append(client)
        asked = f", {office.threshold} of {len(office.signers)} oracles must sign" if office else ""
        return f"the market at {client.market.address}{asked}"

    def _signer(self, client: MarketClient) -> str:
        if self._key is None:
            return "none: watching only"
        office = client.pinned().office
        if office is None or self._key.address not in office.signers:
            raise UserError(f"{self._key.address} is not a signer of the quorum in office")
        wei = client.web3.eth.get_balance(self._key.address)
        if wei < LEAST_WEI:
            raise UserError(f"{self._key.address} has only {wei / WEI_PER_ETHER:g} ether for fees")
        return f"{self._key.address}, in office, {wei / WEI_PER_ETHER:g} ether for fees"

    def _peer(self, url: str, client: MarketClient) -> str:
        audience = audience_of(client.deployment.chain_id, client.quorum.address)
        identity: Mapping[str, Any] = PeerClient(url, self._key, audience).identity()
        if identity.get("audience") != audience:
            raise UserError("it works for another quorum")
        offset = float(identity["time"]) - time.time()
        if abs(offset) > CLOCK_SECONDS:
            raise UserError(f"its clock and this one differ by {abs(offset):.0f} s")
        return f"oracle {identity.get('address')}, has read up to block {identity.get('block')}"

    def _database(self) -> str:
        database = Database(self._connections.database)
        try:
            database.require_current()
            with database.transaction():
                pass
            return f"{database.shown}, version {database.schema_version()}"
        finally:
            database.close()

    def _encryption(self) -> str:
        on = "what meters send is encrypted"
        return (
            on
            if self._keyring.encrypts
            else "what meters send is stored in the clear: set CLEARWATT_DATA_KEYS"
        )


def _endpoint(url: str) -> str:
    web3 = connect(url)
    head = latest(web3)
    age = time.time() - head.timestamp
    if age > OLDEST_HEAD_SECONDS:
        raise UserError(f"its newest block, {head.number}, is {age:.0f} s old by this clock")
    if age < -CLOCK_SECONDS:
        raise UserError(f"its newest block is {-age:.0f} s ahead of this clock")
    return f"chain {web3.eth.chain_id}, block {head.number}, {max(age, 0):.0f} s old"


def _tried(subject: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, attempt())
    except FAILURES as error:
        return Finding(subject, False, str(error))
