import pytest

from clearwatt.community.tariff import Tariff, parse_prices
from clearwatt.errors import UserError

TIMES_OF_USE = "00:00-06:00=0.22,06:00-22:00=0.32,22:00-24:00=0.22"


def test_parse__no_arguments__flat_thirty_and_eight_cents():
    tariff = Tariff.parse()
    assert set(tariff.import_price) == {30_000}
    assert set(tariff.export_price) == {8_000}
    assert len(tariff.import_price) == 96


def test_parse_prices__times_of_use__each_window_its_price():
    prices = parse_prices(TIMES_OF_USE)
    assert prices == (22_000,) * 24 + (32_000,) * 64 + (22_000,) * 8


def test_parse_prices__window_over_midnight__same_as_two():
    assert parse_prices("22:00-06:00=0.22, 06:00-22:00=0.32") == parse_prices(TIMES_OF_USE)


def test_parse_prices__negative__allowed():
    assert set(parse_prices("-0.05")) == {-5_000}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cheap", "not a price"),
        ("nan", "no price the market can carry"),
        ("1e9", "no price the market can carry"),
        ("00:00-06:00=0.22", "no price for 06:00"),
        ("00:00-24:00=0.22,03:00-04:00=0.3", "gives 03:00 two prices"),
        ("00:00-24:10=0.22", "not a quarter of an hour"),
        ("00:05-24:00=0.22", "not a quarter of an hour"),
        ("00:00-24:00=", "not a time of use"),
        ("06:00-06:00=0.2", "ends when it starts"),
        ("night=0.2", "not a time of use"),
    ],
)
def test_parse_prices__not_a_tariff__refused_in_words(text, message):
    with pytest.raises(UserError, match=message):
        parse_prices(text)


def test_tariff__export_above_import__refused():
    with pytest.raises(UserError, match="more for export than import costs at 06:00"):
        Tariff.parse("0.30", "00:00-06:00=0.08,06:00-24:00=0.31")


def test_auction__afternoon__its_own_prices():
    part = Tariff.parse(TIMES_OF_USE).auction(84, 8)
    assert part.import_price == (32_000,) * 4 + (22_000,) * 4
    assert part.export_price == (8_000,) * 8


def test_read__csv_of_96_rows__both_columns(tmp_path):
    path = tmp_path / "tariff.csv"
    path.write_text(
        "import,export\n" + "".join(f"0.{30 + slot},-0.01\n" for slot in range(20)) + "0.2,0.1\n" * 76
    )
    tariff = Tariff.read(path)
    assert tariff.import_price[:2] == (30_000, 31_000)
    assert tariff.export_price[19:21] == (-1_000, 10_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import,export\n0.3,0.1\n", "has 1 rows"),
        ("import,out\n" + "0.3,0.1\n" * 96, 'no price in column "export", line 2'),
        ("import,export\n" + "0.3,0.1\n" * 95 + "0.3,x\n", 'line 97: "x" is not a price'),
    ],
)
def test_read__bad_csv__names_file_and_line(tmp_path, content, message):
    path = tmp_path / "tariff.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        Tariff.read(path)


def test_read__no_such_file__one_sentence(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        Tariff.read(tmp_path / "none.csv")
