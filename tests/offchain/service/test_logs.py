"""What a line of the log says, and what it must not."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from clearwatt.service import logs

SECRET = 'https://node.example/v3/0123"456789'

Lines = Callable[[], list[str]]


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards as it was."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    levels = {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def set_up(form: logs.Format, monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setattr(logs, "_process", {"auction": None, "block": None})
    stream = io.StringIO()
    logs.set_up_logging(form, hidden=[SECRET, "12"], stream=stream)
    return lambda: stream.getvalue().splitlines()


@pytest.fixture
def as_json(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> Lines:
    return set_up("json", monkeypatch)


@pytest.fixture
def as_text(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> Lines:
    return set_up("text", monkeypatch)


def test_json__no_context__auction_and_block_are_there_all_the_same(as_json: Lines) -> None:
    logging.getLogger("clearwatt.oracle").info("12 members settled", extra={"gas": 21_000})
    line = json.loads(as_json()[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "clearwatt.oracle",
        "thread": threading.current_thread().name,
        "auction": None,
        "block": None,
        "message": "12 members settled",
        "gas": 21_000,
    }


def test_json__nested_contexts__the_inner_wins_and_is_gone_afterwards(as_json: Lines) -> None:
    with logs.log_context(block=120):
        with logs.log_context(auction=3, block=121):
            logging.warning("inside")
        logging.warning("outside")
    found = [(line["auction"], line["block"]) for line in map(json.loads, as_json())]
    assert found == [(3, 121), (None, 120)]


def test_json__context_left_by_an_error__is_gone(as_json: Lines) -> None:
    with pytest.raises(ValueError, match="broken"), logs.log_context(auction=3):
        raise ValueError("broken")
    logging.warning("after")
    assert json.loads(as_json()[0])["auction"] is None


def test_json__other_thread__newest_block_but_no_foreign_auction(as_json: Lines) -> None:
    logs.note_block(77)
    with logs.log_context(auction=3, block=70):
        thread = threading.Thread(target=logging.warning, args=("from the server",))
        thread.start()
        thread.join()
    line = json.loads(as_json()[0])
    assert (line["auction"], line["block"]) == (None, 77)


def test_json__line_breaks_and_an_exception__still_one_line(as_json: Lines) -> None:
    try:
        raise KeyError("zone\n7")
    except KeyError:
        logging.exception("two\nlines")
    assert len(as_json()) == 1
    line = json.loads(as_json()[0])
    assert line["message"] == "two\nlines"
    assert "KeyError" in line["exc_info"]


@pytest.mark.parametrize("form", logs.FORMATS)
def test_hidden__in_message_and_traceback__masked_but_short_texts_are_left(
    form: logs.Format, root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = set_up(form, monkeypatch)
    try:
        raise OSError(f"no answer from {SECRET}")
    except OSError:
        logging.exception("12 calls to %s failed", SECRET)
    text = "\n".join(lines())
    assert "456789" not in text
    assert text.count("***") == 2
    assert "12 calls" in text


def test_text__with_context__place_before_the_message(as_text: Lines) -> None:
    with logs.log_context(auction=3, block=120):
        logging.info("cleared")
    logging.info("stopped")
    cleared, stopped = (line.partition(" ")[2] for line in as_text())
    assert cleared == "INFO [block 120, auction 3] cleared"
    assert stopped == "INFO stopped"


def test_text__auction_zero__is_an_auction(as_text: Lines) -> None:
    with logs.log_context(auction=0):
        logging.info("cleared")
    assert "[auction 0] cleared" in as_text()[0]


def test_libraries__their_everyday_talk__left_out(as_text: Lines) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET ...")
    logging.getLogger("httpx").warning("odd")
    assert len(as_text()) == 1


def test_set_up__twice__every_line_once(as_text: Lines, root: logging.Logger) -> None:
    stream = io.StringIO()
    logs.set_up_logging("text", stream=stream)
    logging.info("once")
    assert len(stream.getvalue().splitlines()) == 1
    assert as_text() == []
