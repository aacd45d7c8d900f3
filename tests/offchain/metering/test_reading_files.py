"""Files of readings: maps, wall-clock times on the days the clocks change, EBIX positions, Parquet, and mistakes."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clearwatt.documents import FileError
from clearwatt.errors import UserError
from clearwatt.metering.files import ColumnMap, read_file, read_map
from clearwatt.metering.readings import Flag, Unit
from clearwatt.metering.walltime import WallClock
from tests.offchain.metering.meters import QUARTER, point

PLAIN = ColumnMap(point="point", time="time", value="value")
BERLIN = {"DE1": point(zone="Europe/Berlin")}
WINTER_STARTS = int(datetime(2025, 10, 26, 1, tzinfo=UTC).timestamp())


def written(tmp_path: Path, *rows: str, head: str = "point,time,value") -> str:
    path = tmp_path / "export.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return str(path)


def starts(path: str, columns: ColumnMap = PLAIN) -> list[int]:
    return [reading.start for reading in read_file(path, columns, BERLIN)]


def test_read_file__hour_that_happens_twice__first_summer_then_winter_time(tmp_path):
    times = ["02:00", "02:15", "02:30", "02:45"] * 2 + ["03:00"]
    path = written(tmp_path, *(f"DE1,2025-10-26 {time},1" for time in times))
    assert starts(path) == [WINTER_STARTS + QUARTER * step for step in range(-4, 5)]


def test_read_file__hour_that_happens_twice_sorted_by_time__the_same_set(tmp_path):
    path = written(tmp_path, *(f"DE1,2025-10-26 {time},1" for time in ("02:00", "02:00", "02:15", "02:15")))
    assert sorted(starts(path)) == [WINTER_STARTS + step for step in (-3600, -2700, 0, 900)]


def test_read_file__hour_that_happens_twice_three_times__named_with_its_line(tmp_path):
    path = written(tmp_path, *["DE1,2025-10-26 02:00,1"] * 3)
    with pytest.raises(UserError, match=r"export\.csv: line 4: point DE1 has 2025-10-26 02:00 three times"):
        starts(path)


@pytest.mark.parametrize("filler", ["0", "", "0.000"])
def test_read_file__hour_that_does_not_happen__fillers_are_left_out(tmp_path, filler):
    path = written(
        tmp_path, "DE1,2025-03-30 01:45,1", f"DE1,2025-03-30 02:00,{filler}", "DE1,2025-03-30 03:00,1"
    )
    first, second = starts(path)
    assert second - first == QUARTER


def test_read_file__energy_in_the_hour_that_does_not_happen__refused(tmp_path):
    with pytest.raises(UserError, match=r"line 2: 2025-03-30 02:00 does not happen in Europe/Berlin"):
        starts(written(tmp_path, "DE1,2025-03-30 02:00,5"))


def test_read_file__stamps_at_the_end_and_24_o_clock__the_interval_before(tmp_path):
    columns = ColumnMap(point="point", time="time", value="value", stamps="end")
    path = written(tmp_path, "DE1,2025-06-09 24:00,1", "DE1,2025-06-10 00:15,1")
    first, second = starts(path, columns)
    assert datetime.fromtimestamp(first, UTC) == datetime(2025, 6, 9, 21, 45, tzinfo=UTC)
    assert second - first == QUARTER


def test_read_file__times_with_an_offset__taken_as_they_are(tmp_path):
    path = written(tmp_path, "DE1,2025-10-26T02:00:00+01:00,1", "DE1,2025-10-26T01:00:00Z,1")
    assert starts(path) == [WINTER_STARTS, WINTER_STARTS]


def test_read_file__positions_within_a_day_of_25_hours__through_both_hours(tmp_path):
    columns = ColumnMap(point="point", time="time", value="value", position="position")
    rows = [f"DE1,2025-10-26,{number},{number}" for number in range(1, 101)]
    path = written(tmp_path, *rows, head="point,time,position,value")
    found = starts(path, columns)
    assert found == [found[0] + QUARTER * step for step in range(100)]
    assert found[-1] + QUARTER - found[0] == 25 * 3600


def test_read_file__own_words_and_decimal_comma__translated(tmp_path):
    columns = ColumnMap(
        only_point="DE1",
        time=["day", "hour"],
        format="%d.%m.%Y %H:%M",
        value="value",
        unit="unit",
        quality="state",
        separator=";",
        decimal_comma=True,
        units={"KWH": "kWh"},
        qualities={"56": "estimated"},
        skip_lines=2,
    )
    path = tmp_path / "export.csv"
    path.write_text("a report\nof somebody\nday;hour;value;unit;state\n09.06.2025;00:15;1.234,50;KWH;56\n")
    (reading,) = read_file(str(path), columns, BERLIN)
    assert (reading.value, reading.unit, reading.quality) == ("1234.50", Unit.KWH, Flag.ESTIMATED)


def test_read_file__parquet_of_floats_and_moments__as_csv(tmp_path):
    moments = [datetime(2025, 6, 9, hour, tzinfo=UTC) for hour in (0, 1, 2)]
    table = pa.table(
        {
            "point": ["DE1"] * 3,
            "time": pa.array(moments, pa.timestamp("ns", "UTC")),
            "value": [0.1 + 0.2, None, 3e-7],
        }
    )
    pq.write_table(table, tmp_path / "export.parquet")
    first, second = read_file(str(tmp_path / "export.parquet"), PLAIN, BERLIN)
    assert (first.start, first.value) == (int(moments[0].timestamp()), "0.300000000000")
    assert (second.start, second.value) == (int(moments[2].timestamp()), "0.0000003")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("DE1,2025-06-09 00:00,much", 'line 2: the value "much" is not a number'),
        ("DE1,2025-06-09 00:00,nan", 'line 2: the value "nan" is not a number'),
        ("DE1,yesterday,1", 'line 2: "yesterday" is not a time like 2025-10-26 02:15'),
        ("DE9,2025-06-09 00:00,1", 'line 2: the metering point "DE9" is not in the points file'),
        ("DE1,2025-06-09 00:00", "line 2: it has 2 cells and not 3"),
    ],
)
def test_read_file__row_that_cannot_be_used__named_with_its_line(tmp_path, row, sentence):
    with pytest.raises(UserError) as caught:
        starts(written(tmp_path, row))
    assert sentence in str(caught.value)


def test_read_file__column_not_there_or_no_file_at_all__said(tmp_path):
    with pytest.raises(UserError, match='there is no column "value"; there are "point", "time", "energy"'):
        starts(written(tmp_path, head="point,time,energy"))
    with pytest.raises(UserError, match="No such file"):
        starts(str(tmp_path / "nothing.csv"))
    (tmp_path / "broken.parquet").write_text("PAR1")
    with pytest.raises(UserError, match="not a Parquet file"):
        starts(str(tmp_path / "broken.parquet"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("time: t\nvalue: v", "either the column `point` or the `only_point`"),
        ("tme: t\nvalue: v\npoint: p", 'unknown key "tme"; did you mean "time"?'),
        ("time: t\nvalue: v\npoint: p\nstamps: middle", "stamps \"middle\" is not 'start' or 'end'"),
        ("time: [", "it is not YAML"),
    ],
)
def test_read_map__mistake__one_sentence(tmp_path, text, sentence):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read_map(str(tmp_path / "map.yaml"))
    assert sentence in str(caught.value)


def test_wall_clock__two_points_in_the_same_hour__each_has_its_own_first_time():
    clock = WallClock()
    times = [
        clock.seconds(name, "2025-10-26 02:30", "Europe/Berlin") for name in ("DE1", "DE2", "DE1", "DE2")
    ]
    assert times == [WINTER_STARTS - 1800] * 2 + [WINTER_STARTS + 1800] * 2


def test_wall_clock__text_that_is_no_time__said():
    with pytest.raises(FileError, match="is not a time like %H"):
        WallClock("%H").seconds("DE1", "noon", "UTC")
