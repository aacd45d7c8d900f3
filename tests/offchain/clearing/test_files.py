"""Auction and result files: what is read, what is refused in which words, and writing all or nothing."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction, Result
from clearwatt.clearing.files import (
    FileError,
    auction_from_json,
    read_auction,
    read_result,
    result_from_json,
    result_to_json,
    write_result,
)
from clearwatt.cli import main
from clearwatt.grid import NO_LIMIT, Grid, Line

PRODUCER, CONSUMER = "0x" + "ab" * 20, "0x" + "cd" * 20
RESULT = Result(((10, -30), (8, 32)), ((0, 0), (2, -3)), ((-2, 0), (), (5,)), -7)


def document() -> dict[str, Any]:
    """A valid auction file's content."""
    return {
        "slots": 2,
        "price_bounds": [-500, 4000],
        "zones": [
            {"parent": None},
            {"parent": 0, "export_limit": 900, "import_limit": 0, "fee": 3},
            {"parent": 1},
        ],
        "bids": [
            {"member": PRODUCER, "zone": 1, "steps": [[1, 70, 500], [0, -20, 300]]},
            {"member": CONSUMER, "zone": 2, "steps": []},
        ],
    }


def small_auction() -> Auction:
    return Auction(2, -500, 4000, Grid((-1, 0), (Line(), Line())), ())


def test_auction_from_json__valid__every_part_in_its_place() -> None:
    auction = auction_from_json(json.dumps(document()))
    assert (auction.slots, auction.min_price, auction.max_price) == (2, -500, 4000)
    assert auction.grid == Grid((-1, 0, 1), (Line(), Line(900, 0, 3), Line(NO_LIMIT, NO_LIMIT, 0)))
    assert auction.bids == (Bid(PRODUCER, 1, (Step(1, 70, 500), Step(0, -20, 300))), Bid(CONSUMER, 2, ()))


@pytest.mark.parametrize("slots", [1, 96])
@pytest.mark.parametrize("quantity", [-(2**31) + 1, 2**31 - 1])
@pytest.mark.parametrize("price", [-(2**23), 2**23 - 1])
def test_auction_from_json__values_at_their_limits__accepted(slots: int, quantity: int, price: int) -> None:
    content = document()
    content.update(slots=slots, price_bounds=[price, price])
    content["bids"] = [{"member": PRODUCER, "zone": 0, "steps": [[slots - 1, price, quantity]]}]
    assert auction_from_json(json.dumps(content)).bids[0].steps == (Step(slots - 1, price, quantity),)


# ---------------------------------------------------------------------------------------------------
# Malformed auctions, through the command: exit code 2, one sentence, nothing written
# ---------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def put(value: object, *path: str | int) -> Change:
    """A change of the document that puts the value at the path."""

    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def drop(*path: str | int) -> Change:
    """A change of the document that removes what is at the path."""

    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


STEP = ("bids", 0, "steps", 1)
MALFORMED: list[tuple[Change, str]] = [
    (put(True, "slots"), "slots true is not an integer"),
    (put(2.0, "slots"), "slots 2.0 is not an integer"),
    (put("2", "slots"), 'slots "2" is not an integer'),
    (put(float("nan"), "slots"), "slots NaN is not an integer"),
    (put(0, "slots"), "slots 0 is not between 1 and 96"),
    (put(97, "slots"), "slots 97 is not between 1 and 96"),
    (drop("slots"), 'the auction: the key "slots" is missing'),
    (put(1, "slot"), 'the auction: unknown key "slot"; did you mean "slots"?'),
    (put(1, "weather"), 'the auction: unknown key "weather"; known are slots, price_bounds, zones, bids'),
    (put(7, "price_bounds"), "price_bounds: 7 is not [min, max] in ticks"),
    (put([0], "price_bounds"), "price_bounds: [0] is not [min, max] in ticks"),
    (put([0, 1, 2], "price_bounds"), "price_bounds: [0, 1, 2] is not [min, max] in ticks"),
    (put([0, None], "price_bounds"), "price_bounds[1] null is not an integer"),
    (put(-(2**23) - 1, "price_bounds", 0), "price_bounds[0] -8388609 is not between -8388608 and 8388607"),
    (put(2**23, "price_bounds", 1), "price_bounds[1] 8388608 is not between -8388608 and 8388607"),
    (put([1, 0], "price_bounds"), "price_bounds: the lowest price, 1, is above the highest, 0"),
    (put({}, "zones"), "zones: {} is not a list of zones"),
    (put([], "zones"), "zones: 0 zones are not between 1 and 1024"),
    (put([{"parent": None}] * 1025, "zones"), "zones: 1025 zones are not between 1 and 1024"),
    (put(None, "zones", 1), "zones[1]: null is not an object with the keys parent"),
    (put({}, "zones", 1), 'zones[1]: the key "parent" is missing'),
    (
        put(0, "zones", 0, "parent"),
        "zones[0]: parent must be null; zone 0 is the connection to the upstream grid",
    ),
    (
        put(5, "zones", 0, "fee"),
        "zones[0]: zone 0 has no line to a parent, so it can have no limit and no fee",
    ),
    (put(None, "zones", 1, "parent"), "zones[1]: parent null is not an integer"),
    (put(1, "zones", 1, "parent"), "zones[1]: parent 1 is not 0"),
    (put(2, "zones", 2, "parent"), "zones[2]: parent 2 is not between 0 and 1"),
    (put(-1, "zones", 2, "parent"), "zones[2]: parent -1 is not between 0 and 1"),
    (put(-1, "zones", 1, "export_limit"), f"zones[1]: export_limit -1 is not between 0 and {2**62}"),
    (
        put(2**62 + 1, "zones", 1, "import_limit"),
        f"zones[1]: import_limit {2**62 + 1} is not between 0 and {2**62}",
    ),
    (put(-1, "zones", 1, "fee"), "zones[1]: fee -1 is not between 0 and 8388607"),
    (put(0.5, "zones", 1, "fee"), "zones[1]: fee 0.5 is not an integer"),
    (put(9, "zones", 1, "exportlimit"), 'zones[1]: unknown key "exportlimit"; did you mean "export_limit"?'),
    (put(None, "bids"), "bids: null is not a list of bids"),
    (put([], "bids", 0), "bids[0]: [] is not an object with the keys member, zone, steps"),
    (drop("bids", 1, "zone"), 'bids[1]: the key "zone" is missing'),
    (put([], "bids", 1, "stpes"), 'bids[1]: unknown key "stpes"; did you mean "steps"?'),
    (put("0xab", "bids", 0, "member"), 'bids[0]: member "0xab" is not an address, 0x and 40 hex digits'),
    (
        put(f"{PRODUCER}0", "bids", 0, "member"),
        f'bids[0]: member "{PRODUCER}0" is not an address, 0x and 40 hex digits',
    ),
    (put(5, "bids", 0, "member"), "bids[0]: member 5 is not an address, 0x and 40 hex digits"),
    (
        put("0x" + "AB" * 20, "bids", 1, "member"),
        f"bids[1]: member 0x{'AB' * 20} has a bid already, bids[0]",
    ),
    (put(3, "bids", 0, "zone"), "bids[0]: zone 3 is not between 0 and 2"),
    (put({}, "bids", 0, "steps"), "bids[0].steps: {} is not a list of steps"),
    (put([0, 5], *STEP), "bids[0].steps[1]: [0, 5] is not [slot, price, quantity]"),
    (put({"slot": 0}, *STEP), 'bids[0].steps[1]: {"slot": 0} is not [slot, price, quantity]'),
    (put([2, 5, 9], *STEP), "bids[0].steps[1]: slot 2 is not between 0 and 1"),
    (put([-1, 5, 9], *STEP), "bids[0].steps[1]: slot -1 is not between 0 and 1"),
    (put([False, 5, 9], *STEP), "bids[0].steps[1]: slot false is not an integer"),
    (put([0, -501, 9], *STEP), "bids[0].steps[1]: price -501 is not between -500 and 4000"),
    (put([0, 4001, 9], *STEP), "bids[0].steps[1]: price 4001 is not between -500 and 4000"),
    (put([0, 1.0, 9], *STEP), "bids[0].steps[1]: price 1.0 is not an integer"),
    (put([0, 5, 0], *STEP), "bids[0].steps[1]: quantity 0 Wh is no offer; sell is positive, buy negative"),
    (
        put([0, 5, 2**31], *STEP),
        "bids[0].steps[1]: quantity 2147483648 is not between -2147483647 and 2147483647",
    ),
    (
        put([0, 5, -(2**31)], *STEP),
        "bids[0].steps[1]: quantity -2147483648 is not between -2147483647 and 2147483647",
    ),
    (put([0, 5, float("inf")], *STEP), "bids[0].steps[1]: quantity Infinity is not an integer"),
    (put("x" * 99, "slots"), f'slots "{"x" * 56}... is not an integer'),
]


def assert_refused(folder: Path, content: bytes, sentence: str) -> None:
    """`clearwatt clear` says just this sentence of the file, exits with 2 and writes nothing."""
    source, target = folder / "auction.json", folder / "result.json"
    source.write_bytes(content)
    outcome = CliRunner().invoke(main, ["clear", str(source), "-o", str(target)])
    assert (outcome.output, outcome.exit_code) == (f"Error: {source}: {sentence}\n", 2)
    assert os.listdir(folder) == ["auction.json"]


@pytest.mark.parametrize(("change", "sentence"), MALFORMED, ids=[sentence[:50] for _, sentence in MALFORMED])
def test_clear__malformed_auction__one_sentence_that_names_the_place(
    tmp_path: Path, change: Change, sentence: str
) -> None:
    content = document()
    change(content)
    assert_refused(tmp_path, json.dumps(content).encode(), sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"slots: 2", "it is not JSON: Expecting value at line 1, column 1"),
        (b'{"slots": 2', "it is not JSON: Expecting ',' delimiter at line 1, column 12"),
        (b"[1]", "the auction: [1] is not an object with the keys slots, price_bounds, zones, bids"),
        (b'{"slots": 2, "slots": 3}', 'the key "slots" appears twice in one object'),
        (b'{"slots": \xff}', "it is not a text file, byte 10 is not UTF-8"),
        (b'{"slots": ' + b"9" * 5000 + b"}", "a number of 5000 digits, 9999999999..., fits nothing here"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_clear__not_such_a_file_at_all__one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    assert_refused(tmp_path, content, sentence)


@pytest.mark.parametrize("depth", [10, 300, 600, 900, 980, 995])
def test_read_auction__lists_in_lists__file_error_at_any_depth(tmp_path: Path, depth: int) -> None:
    source = tmp_path / "auction.json"
    source.write_text("[" * depth + "]" * depth)
    with pytest.raises(FileError, match=r"nested too deeply|is not an object"):
        read_auction(str(source))


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing.json", "No such file or directory"), ("", "Is a directory")]
)
def test_read_auction__no_such_file_or_a_directory__says_so(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(FileError) as caught:
        read_auction(str(tmp_path / name))
    assert str(caught.value) == f"{tmp_path / name}: {reason}"


def test_read_auction__byte_order_mark__is_no_hindrance(tmp_path: Path) -> None:
    source = tmp_path / "auction.json"
    source.write_bytes(b"\xef\xbb\xbf" + json.dumps(document()).encode())
    assert read_auction(str(source)) == auction_from_json(json.dumps(document()))


# ---------------------------------------------------------------------------------------------------
# Results
# ---------------------------------------------------------------------------------------------------


def test_write_result__read_again__the_same(tmp_path: Path) -> None:
    target = str(tmp_path / "result.json")
    write_result(target, RESULT)
    assert read_result(target, small_auction()) == RESULT


def test_result_to_json__plain_json_with_the_documented_keys() -> None:
    assert json.loads(result_to_json(RESULT)) == {
        "prices": [[10, -30], [8, 32]],
        "flows": [[0, 0], [2, -3]],
        "fills": [[-2, 0], [], [5]],
        "welfare": -7,
    }


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("prices", [[10, -30]], "prices: 1 rows, but the auction has 2 zones"),
        ("prices", [[10], [8, 32]], "prices[0]: 1 entries, but the auction has 2 slots"),
        ("prices", [[10, 30.5], [8, 32]], "prices[0][1] 30.5 is not an integer"),
        ("flows", [[0, 0], [2, True]], "flows[1][1] true is not an integer"),
        ("flows", [[0, 0], 2], "flows[1]: 2 is not a list of integers"),
        ("fills", {"0": []}, 'fills: {"0": []} is not a list with one list of fills per bid'),
        ("fills", [[None]], "fills[0][0] null is not an integer"),
        ("welfare", "7", 'welfare "7" is not an integer'),
        ("wellfare", 7, 'the result: unknown key "wellfare"; did you mean "welfare"?'),
    ],
)
def test_result_from_json__malformed__names_the_place(key: str, value: object, sentence: str) -> None:
    content = json.loads(result_to_json(RESULT)) | {key: value}
    with pytest.raises(FileError) as caught:
        result_from_json(json.dumps(content), small_auction())
    assert str(caught.value) == sentence


def test_write_result__file_exists__replaced_and_nothing_left_beside(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    write_result(str(target), RESULT)
    assert target.read_text() == result_to_json(RESULT)
    assert os.listdir(tmp_path) == ["result.json"]


def test_write_result__renaming_fails__old_file_stays_and_nothing_is_left_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "result.json"
    target.write_text("old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FileError, match="No space left on device"):
        write_result(str(target), RESULT)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize(
    ("name", "reason"), [("", "Is a directory"), ("nowhere/result.json", "No such file or directory")]
)
def test_write_result__impossible_place__says_why(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        write_result(str(tmp_path / name), RESULT)
    assert os.listdir(tmp_path) == []


def test_write_result__link__its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("result.json")
    write_result(str(tmp_path / "link.json"), RESULT)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "result.json").read_text() == result_to_json(RESULT)


def test_write_result__pipe__written_through_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_result(str(pipe), RESULT)
        assert os.read(reader, 10_000).decode() == result_to_json(RESULT)
    finally:
        os.close(reader)
    assert pipe.is_fifo()
