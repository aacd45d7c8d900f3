"""Messages: what is not one is named, never believed."""

import numpy as np
import pytest

from clearwatt.dispatch.distributed.messages import WORDS, Malformed, Message, decode

GOOD = Message("answer", {"round": 3}, np.arange(6.0).reshape(2, 3)).encode()


@pytest.mark.parametrize("array", [None, np.zeros((0, 2)), np.arange(4.0), np.arange(4, dtype=np.uint64)])
def test_message__encoded__decoded_the_same(array: np.ndarray | None) -> None:
    message = decode(Message("ask", {"round": 1, "task": "best"}, array).encode())
    assert (message.kind, message.fields) == ("ask", {"round": 1, "task": "best"})
    assert array is None if message.array is None else np.array_equal(message.array, array)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\2[]",
        b"\0\0\0\2{}",
        GOOD[:-1],
        GOOD + b"\0",
        GOOD.replace(b'"<f8"', b'"|O8"'),
        GOOD.replace(b"2, 3]", b"-2,3]"),
        GOOD.replace(b'"answer"', b"12345678"),
    ],
)
def test_decode__no_message__malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "message",
    [
        Message("ready"),
        Message("answer"),
        Message("answer", {}, np.zeros(4)),
        Message("answer", {}, np.array([1.0, np.nan, 1.0])),
        Message("answer", {}, np.zeros(3, np.uint64)),
        Message("refusal", {"reason": "no"}),
    ],
)
def test_expect__other_than_three_finite_numbers__malformed(message: Message) -> None:
    with pytest.raises(Malformed):
        message.expect("answer", (3,))


def test_expect__words__not_taken_for_numbers() -> None:
    words = Message("answer", {}, np.zeros(3, np.uint64))
    assert words.expect("answer", (3,), WORDS) is words.array
