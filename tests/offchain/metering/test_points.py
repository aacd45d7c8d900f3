"""The points file: what it says, and what is wrong with it."""

from pathlib import Path

import pytest

from clearwatt.errors import UserError
from clearwatt.metering.points import PointConfig, points_of, read_points
from tests.offchain.metering.meters import HOUSEHOLD, METER

MEMBER = f'member: "{HOUSEHOLD}", meter: "{METER}"'


def read(tmp_path: Path, text: str, name: str = "points.yaml") -> dict[str, PointConfig]:
    (tmp_path / name).write_text(text)
    return read_points(str(tmp_path / name))


def test_read_points__yaml_with_defaults__each_point_has_them(tmp_path):
    text = f"defaults: {{zone: Europe/Berlin, {MEMBER}}}\n"
    text += "points: [{point: A}, {point: B, zone: UTC, register: export}]"
    points = read(tmp_path, text)
    assert [(points[name].zone, points[name].sign) for name in "AB"] == [("Europe/Berlin", 1), ("UTC", 1)]
    assert points_of(points, HOUSEHOLD.upper().replace("X", "x")) == [points["A"], points["B"]]


def test_read_points__csv__as_yaml(tmp_path):
    text = f"point,member,meter,register,multiplier,register_digits\nA,{HOUSEHOLD},{METER},import,1.5,6\n"
    found = read(tmp_path, text, "points.csv")["A"]
    assert (found.register, str(found.multiplier), found.register_digits, found.sign) == (
        "import",
        "1.5",
        6,
        -1,
    )


def test_read_points__address_without_quotes__yaml_makes_it_a_number_and_we_an_address_again(tmp_path):
    text = "points: [{point: A, member: 0x00a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1, meter: 0x01}]"
    assert read(tmp_path, text)["A"].member.lower() == "0x00" + "a1" * 19


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (f"point: A, {MEMBER}, zone: Atlantis", 'point A: zone "Atlantis" is not a time zone'),
        (f"point: A, {MEMBER}, multiplier: 0", "point A: multiplier 0 is not a number above 0"),
        (f"point: A, {MEMBER}, register: in", "point A: register \"in\" is not 'import', 'export' or 'net'"),
        (f"point: A, {MEMBER}, fuse: 3", 'points[0]: unknown key "fuse"; known are point, member'),
        (f"point: A B, {MEMBER}", 'point "A B" is not a name of letters'),
        ("point: A, member: x, meter: y", 'member "x" is not an address'),
        ("point: A", 'point A: the key "member" is missing'),
        (f"point: A, {MEMBER}, max_power_w: 0", "point A: max_power_w 0: input should be greater than"),
    ],
)
def test_read_points__mistake__one_sentence(tmp_path, entry, sentence):
    with pytest.raises(UserError) as caught:
        read(tmp_path, f"points: [{{{entry}}}]")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_points__twins_and_members_with_two_meters__refused(tmp_path):
    with pytest.raises(UserError, match="two metering points are called A"):
        read(tmp_path, f"points: [{{point: A, {MEMBER}}}, {{point: A, {MEMBER}}}]")
    other = f'member: "{HOUSEHOLD}", meter: "{HOUSEHOLD}"'
    with pytest.raises(UserError, match="the chain knows one meter per member"):
        read(tmp_path, f"points: [{{point: A, {MEMBER}}}, {{point: B, {other}}}]")


def test_of_member__called_by_its_checksum_address():
    plain = PointConfig.of_member(HOUSEHOLD, METER)
    assert plain.point == plain.member != HOUSEHOLD
    assert plain.register == "net"
