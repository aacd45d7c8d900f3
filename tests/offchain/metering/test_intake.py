"""Intake: genuine messages are stored once, everything else is refused with its reason and leaves no trace."""

import pytest

from clearwatt.metering.intake import Directory, Intake, NotReady, Outcome
from clearwatt.metering.messages import MAX_PAYLOAD_BYTES, Message
from clearwatt.metering.points import PointConfig
from clearwatt.service import metrics
from clearwatt.storage.database import Database, StoreError
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring
from tests.offchain.metering.signed import (
    CHAIN_ID,
    CONSUMER,
    METER,
    METERS,
    MIDNIGHT,
    OTHER_METER,
    PRODUCER,
    SETTLEMENT,
    SLOTS,
    STRANGER,
    directory,
    intake_at,
    readings,
    sqlite_url,
    statement,
    store_at,
)

STORED, KNOWN = Outcome("stored"), Outcome("known")
ELSEWHERE = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"


@pytest.fixture
def parts(tmp_path):
    return intake_at(sqlite_url(tmp_path))


def test_accept__genuine_messages__stored(parts):
    intake, store = parts
    sent = [statement(), readings(), readings(1, CONSUMER, OTHER_METER)]
    assert intake.accept(sent) == [STORED] * 3
    assert [message for _, message in store.after(0)] == sent


def test_accept__again_and_twice_in_a_batch__stored_once(parts):
    intake, store = parts
    assert intake.accept([statement(), statement()]) == [STORED, KNOWN]
    assert intake.accept([statement(), readings()]) == [KNOWN, STORED]
    assert len(store.after(0)) == 2


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (statement(key=STRANGER), "not by the meter"),
        (statement(key=OTHER_METER), "not by the meter"),
        (statement(member=STRANGER.address), "no member with a meter"),
        (statement(chain_id=CHAIN_ID + 1), "another market"),
        (statement(settlement=ELSEWHERE), "another market"),
        (statement(readings=[1] * (SLOTS + 1)), "5 slots, an auction has 4"),
        (readings(key=STRANGER), "not by the meter"),
        (readings(point="DE42"), "point DE42 is not known"),
        (readings(point=PRODUCER.lower()), "is not known"),
        (readings(settlement=ELSEWHERE), "another market"),
        (Message("readings", b"{}", readings().signature), "keys"),
        (Message("readings", readings().payload, statement().signature), "not by the meter"),
        (Message("statement", statement().payload, b""), "65 bytes"),
        (Message("statement", b" " * (MAX_PAYLOAD_BYTES + 1), bytes(65)), "larger than"),
        (Message("gossip", b"", bytes(65)), "no kind of message 'gossip'"),
    ],
)
def test_accept__not_genuine__rejected_with_the_reason_and_not_stored(parts, message, reason):
    intake, store = parts
    outcome, beside = intake.accept([message, readings()])
    assert outcome.status == "rejected"
    assert reason in outcome.reason
    assert beside == STORED
    assert [kept for _, kept in store.after(0)] == [readings()]


def test_accept__meter_clock_an_hour_ahead_or_more__judged_by_the_later_of_clock_and_chain(tmp_path):
    known = Directory()
    intake = Intake(store_at(sqlite_url(tmp_path)), known, clock=lambda: MIDNIGHT - 3600)
    facts = {"chain_id": CHAIN_ID, "settlement": SETTLEMENT, "slots": SLOTS, "meters": METERS}
    known.update(**facts)
    (early,) = intake.accept([readings()])
    assert "future" in early.reason
    known.update(**facts, time=MIDNIGHT)
    assert intake.accept([readings()]) == [STORED]


def test_accept__listed_point__signed_by_the_meter_of_the_list(tmp_path):
    point = PointConfig(point="DE42", member=PRODUCER, meter=STRANGER.address)
    intake, _ = intake_at(sqlite_url(tmp_path), points={"DE42": point})
    assert intake.accept([readings(point="DE42", key=STRANGER)]) == [STORED]
    assert intake.accept([readings(point="DE42", key=METER)])[0].status == "rejected"


def test_accept__chain_not_read_yet__not_ready_and_nothing_stored(tmp_path):
    store = store_at(sqlite_url(tmp_path))
    with pytest.raises(NotReady):
        Intake(store, Directory()).accept([statement()])
    assert store.after(0) == []


def test_accept__database_without_tables__store_error(tmp_path):
    store = MessageStore(Database(sqlite_url(tmp_path)), Keyring.plain())
    with pytest.raises(StoreError, match="no such table"):
        Intake(store, directory()).accept([statement()])


def test_accept__any__counted_by_kind_and_outcome(parts):
    def count(kind: str, outcome: str) -> float:
        labels = {"kind": kind, "outcome": outcome, "transport": "mqtt"}
        return metrics.REGISTRY.get_sample_value("clearwatt_messages_total", labels) or 0

    before = count("statement", "stored"), count("unknown", "rejected")
    parts[0].accept([statement(), Message("gossip", b"", b"")], "mqtt")
    assert (count("statement", "stored"), count("unknown", "rejected")) == (before[0] + 1, before[1] + 1)
