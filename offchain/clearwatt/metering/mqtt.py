"""Metering over MQTT: messages from a broker, each acknowledged when it is on disk, not before.

The session outlives the connection, so the broker keeps what comes while the oracle is away. A message under
`clearwatt/<settlement>/readings/` or `.../statements/` is the JSON object that HTTP takes too.
"""

import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError

from clearwatt.errors import UserError
from clearwatt.metering.http import SignedMessage
from clearwatt.metering.intake import Intake, NotReady
from clearwatt.metering.messages import READINGS, STATEMENT, Message
from clearwatt.service import metrics
from clearwatt.storage.database import StoreError

log = logging.getLogger(__name__)

PORTS = {"mqtt": 1883, "mqtts": 8883}
KINDS = {"readings": READINGS, "statements": STATEMENT}
QOS = 1
KEEPALIVE_SECONDS = 30
RECONNECT_SECONDS = (1, 60)
"""The first pause after a lost connection, and the longest; each is twice the one before."""

RETRY_SECONDS = 1.0
"""Between attempts to store what the database does not take."""

BATCH = 200


@dataclass(frozen=True)
class Broker:
    """Where a broker is, and who we are to it."""

    host: str
    port: int
    encrypted: bool
    user: str | None
    password: str | None


@dataclass(frozen=True)
class _Delivery:
    """A message of the broker. connection: which one of ours brought it, for only that one can acknowledge it."""

    connection: int
    number: int
    topic: str
    body: bytes


class Subscriber:
    """Takes a market's messages from a broker into the intake, from `start` until `stop`.

    url: mqtt:// or mqtts://[USER:PASSWORD@]HOST[:PORT]. name: of the session; the same after a restart, and no one
    else's. Raises UserError if the URL names no broker.
    """

    def __init__(self, url: str, settlement: str, name: str, intake: Intake) -> None:
        self._broker = parse_broker(url)
        self._topics = [(f"clearwatt/{settlement}/{part}/#", QOS) for part in KINDS]
        self._intake = intake
        self._deliveries: queue.Queue[_Delivery] = queue.Queue()
        self._connection = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._client = self._make_client(name)
        self._worker = threading.Thread(target=self._work, name="mqtt-intake", daemon=True)

    def start(self) -> None:
        """Connect as soon as the broker is there, and again whenever it is lost."""
        self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_SECONDS)
        self._client.loop_start()
        self._worker.start()

    def stop(self) -> None:
        """Disconnect. What was not acknowledged comes again at the next start."""
        self._stopped.set()
        self._worker.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _make_client(self, name: str) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, manual_ack=True)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message = self._on_message
        client.reconnect_delay_set(*RECONNECT_SECONDS)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.encrypted:
            client.tls_set()
        return client

    # ------------------------------------------------------------ in the client's thread

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.error("the MQTT broker refuses the connection: %s", reason)
            return
        client.subscribe(self._topics)
        metrics.BROKER_CONNECTED.set(1)
        log.info("connected to the MQTT broker %s:%d", self._broker.host, self._broker.port)

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        metrics.BROKER_CONNECTED.set(0)
        with self._lock:
            self._connection += 1
        if not self._stopped.is_set():
            log.warning("the MQTT broker %s:%d is lost: %s", self._broker.host, self._broker.port, reason)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        # the broker sends only so many without hearing back, so the queue stays short
        self._deliveries.put(_Delivery(self._connection, message.mid, message.topic, message.payload))

    # ------------------------------------------------------------ in the worker's

    def _work(self) -> None:
        while not self._stopped.is_set():
            deliveries = self._next()
            if deliveries and self._stored(deliveries):
                self._acknowledge(deliveries)

    def _next(self) -> list[_Delivery]:
        """What has come, waited for a moment."""
        try:
            deliveries = [self._deliveries.get(timeout=0.2)]
        except queue.Empty:
            return []
        while len(deliveries) < BATCH and not self._deliveries.empty():
            deliveries.append(self._deliveries.get())
        return deliveries

    def _stored(self, deliveries: Sequence[_Delivery]) -> bool:
        """Try until it is on disk; False if told to stop before."""
        messages = [message for message in map(_message_of, deliveries) if message]
        while not self._stopped.is_set():
            try:
                outcomes = self._intake.accept(messages, "mqtt")
            except (NotReady, StoreError) as error:
                log.warning("messages from the MQTT broker wait: %s", error)
                self._stopped.wait(RETRY_SECONDS)
            else:
                for outcome in outcomes:
                    if outcome.status == "rejected":
                        log.info("a message from the MQTT broker is rejected: %s", outcome.reason)
                return True
        return False

    def _acknowledge(self, deliveries: Sequence[_Delivery]) -> None:
        with self._lock:  # else a number might be acknowledged that means another message since a moment ago
            for delivery in deliveries:
                if delivery.connection == self._connection:
                    self._client.ack(delivery.number, QOS)


def parse_broker(url: str) -> Broker:
    """The broker of an URL. Raises UserError, which does not show the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/"):
        raise UserError("the MQTT broker is not named as in mqtt://HOST:1883 or mqtts://USER:PASSWORD@HOST")
    user, password = (unquote(text) if text else None for text in (parts.username, parts.password))
    return Broker(parts.hostname, port or PORTS[parts.scheme], parts.scheme == "mqtts", user, password)


def _message_of(delivery: _Delivery) -> Message | None:
    """None, with a line in the log, for what is no message: it would not be one the next time either."""
    kind = KINDS[delivery.topic.split("/")[2]]
    try:
        return SignedMessage.model_validate_json(delivery.body).message(kind)
    except ValidationError as error:
        metrics.MESSAGES.labels(kind, "rejected", "mqtt").inc()
        log.info("what came from the MQTT broker is no message: %s", error.errors()[0]["msg"])
        return None
