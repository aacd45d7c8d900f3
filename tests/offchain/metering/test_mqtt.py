"""Metering over a real mosquitto: what it took is stored once, however often either side goes away."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from clearwatt.errors import UserError
from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.messages import Message
from clearwatt.metering.mqtt import Broker, Subscriber, parse_broker
from clearwatt.storage.messages import MessageStore
from tests import servers
from tests.offchain.metering.signed import (
    CHAIN_ID,
    METERS,
    SETTLEMENT,
    SLOTS,
    STRANGER,
    directory,
    readings,
    sqlite_url,
    statement,
    store_at,
)

PATIENCE = 15
"""Seconds; a pause before a new connection is among them."""


@pytest.fixture
def broker() -> Iterator[servers.Server]:
    with servers.mosquitto() as server:
        yield server


@pytest.fixture
def store(tmp_path) -> MessageStore:
    return store_at(sqlite_url(tmp_path))


@contextmanager
def subscribed(broker: servers.Server, intake: Intake) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.url, SETTLEMENT, "clearwatt-test", intake)
    subscriber.start()
    try:
        yield subscriber
    finally:
        subscriber.stop()


def publish(broker: servers.Server, topic: str, *bodies: str | bytes) -> None:
    """Returns when the broker has them all."""
    where = parse_broker(broker.url)
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect(where.host, where.port)
    client.loop_start()
    for body in bodies:
        client.publish(f"clearwatt/{SETTLEMENT}/{topic}", body, qos=1).wait_for_publish(PATIENCE)
    client.disconnect()
    client.loop_stop()


def body_of(message: Message) -> str:
    return json.dumps({"payload": message.payload.decode(), "signature": "0x" + message.signature.hex()})


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def kept(store: MessageStore) -> list[Message]:
    return [message for _, message in store.after(0)]


def test_subscriber__readings_and_statements__stored(broker, store):
    with subscribed(broker, Intake(store, directory())):
        assert eventually(lambda: "clearwatt-test" in broker.log())
        time.sleep(0.3)  # mosquitto logs the connection before the subscription
        publish(broker, "readings/house-1", body_of(readings()))
        publish(broker, "statements/house-1", body_of(statement()))
        assert eventually(lambda: len(kept(store)) == 2)
    assert kept(store) == [readings(), statement()]


def test_subscriber__nonsense_and_forgeries__skipped_and_not_sent_again(broker, store, caplog):
    caplog.set_level(logging.INFO)
    with subscribed(broker, Intake(store, directory())):
        assert eventually(lambda: "connected to the MQTT broker" in caplog.text)
        time.sleep(0.3)
        forged = body_of(statement(key=STRANGER))
        publish(broker, "statements/x", b"", b"\xff\0", b"[]", b'{"payload": "\\ud800"}', forged)
        publish(broker, "statements/x", body_of(statement()))
        assert eventually(lambda: kept(store) == [statement()])
    assert caplog.text.count("is no message") == 4
    assert caplog.text.count("not by the meter") == 1
    caplog.clear()
    with subscribed(broker, Intake(store, directory())):
        time.sleep(0.5)
    assert "no message" not in caplog.text


def test_subscriber__away_while_meters_send__gets_it_when_back(broker, store):
    sent = [readings(number) for number in range(40)]
    with subscribed(broker, Intake(store, directory())):
        time.sleep(0.5)
    publish(broker, "readings/house-1", *map(body_of, sent))
    assert kept(store) == []
    with subscribed(broker, Intake(store, directory())):
        assert eventually(lambda: len(kept(store)) == len(sent))
    assert kept(store) == sent


def test_subscriber__stopped_before_the_chain_is_read__not_acknowledged_and_stored_later(broker, store):
    known = Directory()
    with subscribed(broker, Intake(store, known)):
        time.sleep(0.5)
        publish(broker, "readings/house-1", body_of(readings()))
        time.sleep(0.5)
    assert kept(store) == []
    with subscribed(broker, Intake(store, known)):
        time.sleep(0.5)
        known.update(chain_id=CHAIN_ID, settlement=SETTLEMENT, slots=SLOTS, meters=METERS)
        assert eventually(lambda: kept(store) == [readings()])


def test_subscriber__broker_killed_and_started_again__what_it_took_is_stored(broker, store):
    sent = [readings(number) for number in range(30)]
    with subscribed(broker, Intake(store, directory())):
        time.sleep(0.5)
        publish(broker, "readings/house-1", *map(body_of, sent[:15]))
        broker.kill()
        broker.start()
        publish(broker, "readings/house-1", *map(body_of, sent[15:]))
        assert eventually(lambda: len(kept(store)) == len(sent))
    assert sorted(message.digest for message in kept(store)) == sorted(message.digest for message in sent)


def test_parse_broker__user_password_and_port__taken_apart():
    assert parse_broker("mqtt://broker") == Broker("broker", 1883, False, None, None)
    assert parse_broker("mqtts://me:p%40ss@broker:99") == Broker("broker", 99, True, "me", "p@ss")


@pytest.mark.parametrize("url", ["", "broker:1883", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h/topic"])
def test_parse_broker__no_broker__refused(url):
    with pytest.raises(UserError, match="MQTT"):
        parse_broker(url)
