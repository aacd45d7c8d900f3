"""The YAML file a market is deployed from: what is valid, and what each mistake is told as."""

from pathlib import Path

import pytest
import yaml

from clearwatt.chain.deployment import Schedule
from clearwatt.chain.market_config import read_market_config
from clearwatt.documents import FileError
from clearwatt.grid import NO_LIMIT, Line

EXAMPLE = Path(__file__).parents[3] / "deployments" / "market.example.yaml"
OWNER = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
RETAILER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
NETWORK = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
ORACLE = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
DAY = 86_400
NOON = 20_000 * DAY + DAY // 2

SMALLEST = f"""
accounts: {{balancing_party: "{RETAILER}", network: "{NETWORK}"}}
oracles: {{signers: ["{ORACLE}"], threshold: 1}}
zones: [{{parent: null}}]
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text, now=NOON):
        path = tmp_path / "market.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_market_config(path, OWNER, now)

    return read_text


def test_example__as_it_stands__valid():
    config = read_market_config(EXAMPLE, OWNER, NOON)
    assert config.schedule == Schedule(genesis=20_001 * DAY)
    assert (config.owner, config.balancing_party, config.network_account) == (OWNER, RETAILER, NETWORK)
    assert (config.signers, config.threshold, config.ring_size) == ((ORACLE,), 1, 76)
    assert (config.min_price, config.max_price, config.imbalance_margin) == (-50_000, 400_000, 10_000)
    assert config.grid.parents == (-1, 0, 1, 1)
    assert config.grid.lines[2] == Line(61_834, 61_834, 100)
    assert (config.token, config.token_decimals) == (None, 6)


def test_example__what_it_states__is_what_is_assumed_of_a_file_that_leaves_it_out(read):
    example = read_market_config(EXAMPLE, OWNER, NOON)
    smallest = read(SMALLEST)
    assert (smallest.schedule, smallest.ring_size) == (example.schedule, example.ring_size)
    assert (smallest.min_price, smallest.max_price) == (example.min_price, example.max_price)
    assert (smallest.imbalance_margin, smallest.token_decimals) == (10_000, 6)


def test_example__limits_and_disputes__as_stated_and_as_assumed(read):
    for config in (read_market_config(EXAMPLE, OWNER, NOON), read(SMALLEST)):
        assert (config.min_quantity, config.max_steps) == (10, 8)
        assert config.fits_one_transaction
        assert (config.schedule.dispute_window, config.schedule.decision_window) == (3_600, DAY)
        assert config.dispute_bond == 20 * 10**8
        assert config.owner_delay == config.schedule.life
        assert not config.schedule.sealed


def test_limits__named__kept(read):
    config = read(SMALLEST + "limits: {min_quantity: 1, max_steps: 3, max_members: 5000}")
    assert (config.min_quantity, config.max_steps, config.max_members) == (1, 3, 5_000)


def test_sealed__section_there__sealed_with_its_window_and_deposit(read):
    assert read(SMALLEST + "sealed: {}").schedule.reveal_window == 300
    config = read(SMALLEST + "sealed: {reveal_window: 60, deposit: 4}")
    assert (config.schedule.reveal_window, config.seal_deposit) == (60, 4 * 10**8)


def test_disputes__named__kept(read):
    config = read(SMALLEST + "disputes: {window: 60, decision_window: 90, bond: 0}")
    assert (config.schedule.dispute_window, config.schedule.decision_window) == (60, 90)
    assert config.dispute_bond == 0


def test_owner_delay__named__kept(read):
    assert read(SMALLEST + "owner_delay: 9999999").owner_delay == 9_999_999


def test_addresses__without_quotes__read_as_addresses(read):
    config = read(SMALLEST.replace('"', "").replace(RETAILER, RETAILER.lower()))
    assert (config.balancing_party, config.network_account) == (RETAILER, NETWORK)
    assert config.signers == (ORACLE,)


def test_address__small_number_without_quotes__padded(read):
    config = read(SMALLEST.replace(f'"{RETAILER}"', "0x0000000000000000000000000000000000000009"))
    assert int(config.balancing_party, 16) == 9


def test_token__named__is_the_collateral(read):
    config = read(SMALLEST + f"collateral: {{token: '{NETWORK}', decimals: 18}}")
    assert (config.token, config.token_decimals) == (NETWORK, 18)


def test_owner__named__instead_of_the_deployer(read):
    assert read(SMALLEST.replace("accounts: {", f'accounts: {{owner: "{NETWORK}", ')).owner == NETWORK


def test_line__limits_left_out__none(read):
    assert read(SMALLEST.replace("null}", "null}, {parent: 0}")).grid.lines[1] == Line(NO_LIMIT, NO_LIMIT, 0)


@pytest.mark.parametrize(
    ("genesis", "expected"),
    [
        ("next midnight", 20_001 * DAY),
        ("2030-01-01T00:00:00Z", 1_893_456_000),
        ("2030-01-01 00:00:00", 1_893_456_000),
        ('"2030-01-01T00:00:00Z"', 1_893_456_000),
        ("2030-01-01T01:00:00+01:00", 1_893_456_000),
        ("2030-01-01", 1_893_456_000),
        ("1893456000", 1_893_456_000),
    ],
)
def test_genesis__each_way_to_write_it__that_time(read, genesis, expected):
    assert read(f"{SMALLEST}\nschedule: {{genesis: {genesis}}}").schedule.genesis == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (20_001 * DAY - 900, 20_001 * DAY),  # gate closure at this very second
        (20_001 * DAY - 899, 20_002 * DAY),
        (20_000 * DAY, 20_001 * DAY),
    ],
)
def test_genesis__next_midnight__the_first_that_leaves_time_to_bid(read, now, expected):
    assert read(SMALLEST, now).schedule.genesis == expected


MISTAKES = {
    "": "the market: null is not an object with the keys accounts, oracles, zones",
    "- 1": "the market: [1] is not an object",
    "a: [": "is not YAML of plain values: while parsing a flow",
    "a: !!python/object:os.system x": "is not YAML of plain values: could not determine a constructor",
    "a: &a [*a]": "is not YAML of plain values: Circular reference detected",
    "a: !!set {b}": "is not YAML of plain values: a set has no meaning here",
    "? [a]\n: 1": "is not YAML of plain values: ",
    "2030-01-01: 1": "is not YAML of plain values: keys must be",
    f"n: {'9' * 5000}": "is not YAML of plain values: Exceeds the limit",
    b"\xff\xfe\xfa": "is not YAML of plain values: 'utf-8' codec can't decode",
    SMALLEST + "zones: []": 'the key "zones" appears twice in one object',
    SMALLEST + "zone: []": 'the market: unknown key "zone"; did you mean "zones"?',
    SMALLEST + "1: 2": 'the market: unknown key "1"; known are accounts',
    "accounts: {}": 'the market: the key "oracles" is missing',
    SMALLEST.replace("network:", "dso:"): 'accounts: unknown key "dso"',
    SMALLEST.replace(RETAILER, "0x12"): 'accounts: balancing_party "0x12" is not an address',
    SMALLEST.replace(RETAILER, RETAILER[:-1] + "7"): f"balancing_party {RETAILER[:-1]}7 is mistyped",
    SMALLEST.replace(
        RETAILER, "0xa0997970C51812dc3A010C7d01b50e0d17dc79C8"
    ): "is mistyped: the case of its letters",
    SMALLEST.replace(NETWORK, "0x" + "0" * 40): f'accounts: network "0x{"0" * 40}" is not an address',
    SMALLEST.replace(ORACLE, "oracle"): 'oracles: signers[0] "oracle" is not an address',
    SMALLEST.replace(
        f'["{ORACLE}"]', f'["{ORACLE}", "{ORACLE.lower()}"]'
    ): f"oracles: signers[1] {ORACLE} is named twice",
    SMALLEST.replace(f'["{ORACLE}"]', "x"): 'oracles: signers: "x" is not a list of addresses',
    SMALLEST.replace(f'["{ORACLE}"]', "[]"): "oracles: signers: nobody could sign",
    SMALLEST.replace("threshold: 1", "threshold: 2"): "oracles: threshold 2 is not 1",
    SMALLEST.replace("threshold: 1", "threshold: yes"): "oracles: threshold true is not an integer",
    SMALLEST.replace(
        "threshold: 1", "threshold: 2030-01-01"
    ): 'oracles: threshold "2030-01-01" is not an integer',
    SMALLEST.replace("[{parent: null}]", "[]"): "zones: 0 zones are not between 1 and",
    SMALLEST.replace("null}", "null}, {parent: 1}"): "zones[1]: parent 1 is not 0",
    SMALLEST.replace("null}", "null}, {parent: 0, fee: -1}"): "zones[1]: fee -1 is not between",
    SMALLEST.replace("parent: null", "parent: 0"): "zones[0]: parent must be null",
    SMALLEST + "schedule: {slots: 0}": "schedule: slots 0 is not between 1 and 96",
    SMALLEST + "schedule: {slots: 97}": "schedule: slots 97 is not between 1 and 96",
    SMALLEST + "schedule: {slot_seconds: 0}": "schedule: slot_seconds must be at least 1",
    SMALLEST + "schedule: {clearing_window: 0}": "schedule: clearing_window must be at least 1",
    SMALLEST + "schedule: {horizon: -1}": "schedule: horizon -1 is not between",
    SMALLEST + "schedule: {horizon: 1.5}": "schedule: horizon 1.5 is not an integer",
    SMALLEST + "schedule: {gate_led: 1}": 'schedule: unknown key "gate_led"; did you mean "gate_lead"?',
    SMALLEST + "schedule: [1]": "schedule: [1] is not an object",
    SMALLEST
    + "schedule: {genesis: tomorrow}": 'schedule: genesis "tomorrow" is not a time; write 2030-01-01',
    SMALLEST + "schedule: {genesis: true}": "schedule: genesis true is not a time",
    SMALLEST + "schedule: {genesis: 1893456001}": "genesis must be a whole number of slots of 900 s",
    SMALLEST + "schedule: {genesis: 1900}": "schedule: genesis must be a whole number",
    SMALLEST + "schedule: {genesis: 1960-01-01}": "bids would open before 1970",
    SMALLEST + "prices: {min: 5, max: 4}": "prices: min 5 is above max 4",
    SMALLEST + "prices: {min: -8388609}": "prices: min -8388609 is not between",
    SMALLEST + "prices: {imbalance_margin: -1}": "prices: imbalance_margin -1 is negative",
    SMALLEST + "limits: {min_quantity: 0}": "limits: min_quantity 0 is not between 1 and",
    SMALLEST + "limits: {max_steps: 65536}": "limits: max_steps 65536 is not between 1 and 65535",
    SMALLEST + "limits: {max_member: 3}": 'limits: unknown key "max_member"; did you mean "max_members"?',
    SMALLEST + "disputes: {window: 0}": "disputes: window must be at least 1, or nobody could dispute",
    SMALLEST + "disputes: {decision_window: 0}": "disputes: decision_window must be at least 1",
    SMALLEST + "disputes: {bond: -1}": "disputes: bond -1 is not between 0 and",
    SMALLEST + "disputes: {bond: 1.5}": "disputes: bond 1.5 is not an integer",
    SMALLEST + "sealed: {reveal_window: 0}": "for a market with open bids leave `sealed` out",
    SMALLEST + "sealed: {deposit: 2000000000}": "sealed: deposit 2000000000 is not between 0 and",
    SMALLEST + "sealed: yes": "sealed: true is not an object",
    SMALLEST + "owner_delay: 60": "owner_delay 60 is shorter than the 270900 s an auction lives",
    SMALLEST + "ring_size: 0": "ring_size 0 is not between 1 and 65535",
    SMALLEST + "ring_size: 23": "a member needs at least 24 records",
    SMALLEST + "schedule: {slots: 1, slot_seconds: 1}": "a member needs at least 86400 records",
    SMALLEST + "collateral: {decimals: 19}": "collateral: decimals 19 is not between 0 and 18",
    SMALLEST + "collateral: {token: euro}": 'collateral: token "euro" is not an address',
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_mistake__each__one_sentence_that_names_file_and_place(read, tmp_path, text, sentence):
    with pytest.raises(FileError) as caught:
        read(text)
    message = str(caught.value)
    assert sentence in message
    assert message.startswith(str(tmp_path / "market.yaml"))
    assert "\n" not in message


def test_file__missing_or_a_folder__says_so(tmp_path):
    with pytest.raises(FileError, match=r"none\.yaml: No such file or directory"):
        read_market_config(tmp_path / "none.yaml", OWNER, NOON)
    with pytest.raises(FileError, match="Is a directory"):
        read_market_config(tmp_path, OWNER, NOON)


def test_smallest__each_part_left_out__named_as_missing(read):
    for key in ("accounts", "oracles", "zones"):
        document = yaml.safe_load(SMALLEST)
        del document[key]
        with pytest.raises(FileError, match=f'the key "{key}" is missing'):
            read(yaml.safe_dump(document))
