"""An oracle put together: the cycle, and beside it the HTTP server that takes messages and tells how it is."""

import logging
from contextlib import ExitStack

from eth_account.signers.local import LocalAccount

from clearwatt.chain.deployment import read_deployment
from clearwatt.chain.fees import GWEI
from clearwatt.chain.market import MarketClient, MarketView
from clearwatt.chain.node import NodeError, Refused, connect
from clearwatt.chain.sender import Sender
from clearwatt.errors import UserError
from clearwatt.metering.http import metering_router
from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.points import read_points
from clearwatt.metering.statements import StatementStore
from clearwatt.oracle.board import Board
from clearwatt.oracle.decisions import Decision
from clearwatt.oracle.engine import Engine
from clearwatt.oracle.http import exchange_router
from clearwatt.oracle.inputs import Inputs, MessageBook
from clearwatt.oracle.peers import PeerClient, Synchroniser
from clearwatt.oracle.quorum import Quorum
from clearwatt.oracle.reports import audience_of
from clearwatt.oracle.settings import Connections, Settings
from clearwatt.service import metrics
from clearwatt.service.health import Health, health_router
from clearwatt.service.server import Server, make_app, parse_address
from clearwatt.storage.cursors import Cursors
from clearwatt.storage.database import Database, StoreError
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring

log = logging.getLogger(__name__)

VIEW_SECONDS = 300.0
"""An older view of the chain is not worth acting on."""


class OracleService:
    """One oracle process. Raises UserError if it cannot work as it is configured."""

    def __init__(
        self, connections: Connections, settings: Settings, key: LocalAccount | None, keyring: Keyring
    ) -> None:
        self.client = open_market(connections)
        self.database = Database(connections.database)
        try:
            self.database.require_current()
        except StoreError as error:
            raise UserError(str(error)) from None
        self.store = MessageStore(self.database, keyring)
        self.directory = Directory()
        points = read_points(connections.points) if connections.points else {}
        self.intake = Intake(self.store, self.directory, points)
        self.health = Health(
            settings.cycle_seconds + settings.breaker_seconds,
            VIEW_SECONDS + settings.poll_seconds,
            {"database": self._database_problem},
        )
        if settings.limits.max_fee is not None:
            metrics.FEE_CAP.set(settings.limits.max_fee / GWEI)
        self._key = key
        self._keyring = keyring
        self._listen = connections.listen
        settlement = self.client.settlement.address
        # the second: statements that were stored before there was a log of messages
        books = [MessageBook(self.store, settlement), StatementStore(connections.database, settlement)]
        chain_id, quorum = self.client.deployment.chain_id, self.client.quorum.address
        self._audience = audience_of(chain_id, quorum)
        self._board = Board()
        self._peers = [PeerClient(url, key, self._audience) for url in connections.peers]
        rules = self.client.rules
        self.engine = Engine(
            self.client,
            Inputs(self.client, books, self.store, points),
            Quorum(
                key,
                chain_id,
                quorum,
                self._board,
                self._peers,
                settings.turn_seconds,
                rules.grid.zones,
                rules.schedule.slots,
            ),
            Sender(self.client.web3, key, self.client.errors, settings.limits) if key else None,
            settings,
            self.health,
            self._viewed,
        )

    def run(self) -> None:
        """Until stopped by SIGINT or SIGTERM."""
        self._introduce()
        with ExitStack() as running:
            running.callback(self.database.close)
            if self._listen:
                server = running.enter_context(self._server(self._listen))
                log.info("listening at %s", server.url)
            if self._peers:
                synchroniser = Synchroniser(self._peers, self.intake, Cursors(self.database))
                synchroniser.start()
                running.callback(synchroniser.stop)
            self.engine.run()

    def _introduce(self) -> None:
        if self._key is None:
            log.warning("no key: watching only")
        else:
            log.info("signing as %s", self._key.address)
        if not self._keyring.encrypts:
            log.warning("what meters send is stored in the clear: CLEARWATT_DATA_KEYS is not set")
        metrics.ENCRYPTED.set(self._keyring.encrypts)

    def _server(self, listen: str) -> Server:
        address = self._key.address if self._key else None
        routers = [
            health_router(self.health),
            metering_router(self.intake),
            exchange_router(self._board, self.store, self._audience, address),
        ]
        return Server(make_app(routers), *parse_address(listen))

    def decisions(self) -> list[Decision]:
        """What there is to do. Raises NodeError, StoreError."""
        return self.engine.decisions()

    def _viewed(self, pinned: MarketView, view: MarketView) -> None:
        self.directory.update(
            chain_id=self.client.deployment.chain_id,
            settlement=self.client.settlement.address,
            slots=view.slots,
            meters=view.meters,
            time=view.reference.timestamp,
        )
        if pinned.office is not None:
            self._board.update(pinned.office, pinned.reference.number)
            metrics.IN_OFFICE.set(self._key is not None and self._key.address in pinned.office.signers)

    def _database_problem(self) -> str:
        try:
            self.database.schema_version()
        except StoreError as error:
            metrics.DATABASE_UP.set(0)
            return str(error)
        metrics.DATABASE_UP.set(1)
        return ""


def open_market(connections: Connections) -> MarketClient:
    """The market at its nodes. Raises UserError if it cannot be read."""
    market = read_deployment(connections.deployment)
    try:
        return MarketClient(
            connect(connections.rpc, market.chain_id), market, connections.depth, VIEW_SECONDS
        )
    except (NodeError, Refused) as error:
        raise UserError(f"the market of {connections.deployment} cannot be read: {error}") from None
