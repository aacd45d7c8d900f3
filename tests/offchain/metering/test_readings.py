"""The text of a readings message: one content, one text, and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearwatt.metering.readings import MalformedReadings, parse_readings, readings_payload
from tests.offchain.metering.meters import MONDAY, SETTLEMENT

PLAIN = {
    "chain_id": 1,
    "settlement": SETTLEMENT,
    "point": "DE1",
    "sent": MONDAY + 900,
    "unit": "Wh",
    "interval": 900,
}


def payload(rows=((MONDAY, "1.5"),), **values):
    return readings_payload(**(PLAIN | values), readings=rows)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**40),
            st.integers(-(10**14), 10**14),
            st.sampled_from(["measured", "estimated", "invalid"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_parse_readings__what_was_made__comes_back(rows):
    message = parse_readings(payload(rows), b"digest")
    assert [(row.start, int(row.value), row.quality) for row in message.readings] == rows
    assert (message.chain_id, message.settlement, message.point, message.digest) == (
        1,
        SETTLEMENT,
        "DE1",
        b"digest",
    )
    assert message.first == min(row[0] for row in rows)
    assert message.last == max(row[0] for row in rows) + 900


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "MWh"},
        {"point": "../x"},
        {"point": "x" * 65},
        {"settlement": SETTLEMENT.lower()},
        {"sent": -1},
        {"interval": 0},
        {"rows": ()},
        {"rows": [(MONDAY, 1.5)]},
        {"rows": [(MONDAY, "1e3")]},
        {"rows": [(MONDAY, "NaN")]},
        {"rows": [(MONDAY, "01")]},
        {"rows": [(MONDAY, True)]},
        {"rows": [("now", "1")]},
        {"rows": [(MONDAY, "1", "good")]},
        {"rows": [(MONDAY, 10**15)]},
    ],
)
def test_readings_payload__content_that_no_meter_means__refused(change):
    with pytest.raises(MalformedReadings):
        payload(**change)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b",", b", "),
        lambda text: text + b" ",
        lambda text: json.dumps(dict(reversed(json.loads(text).items())), separators=(",", ":")).encode(),
        lambda text: text.replace(b"DE1", b"\xff"),
        lambda text: text[:-1],
        lambda text: b"[" * 100_000,
        lambda text: b'{"a":' + b"9" * 5000 + b"}",
        lambda text: text.replace(b'"sent"', b'"send"'),
        lambda text: b"null",
    ],
)
def test_parse_readings__other_text_for_the_same_or_none__refused(spoil):
    with pytest.raises(MalformedReadings):
        parse_readings(spoil(payload()))
