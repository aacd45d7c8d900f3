"""The gateway: from readings to statements at every oracle, once, whatever is away in between."""

from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from clearwatt.chain import codec, typed_data
from clearwatt.metering.gateway import Gateway, GatewaySettings
from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.keystore import Keystore
from clearwatt.metering.market_file import read_market
from clearwatt.metering.messages import sign_readings
from clearwatt.metering.outbox import OracleClient, Outbox, Undelivered
from clearwatt.metering.points import points_of
from clearwatt.metering.readings import readings_payload
from clearwatt.metering.series import Quality
from clearwatt.metering.series_store import SeriesStore
from clearwatt.metering.signing import MeterKeys
from clearwatt.storage.cursors import Cursors
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring
from tests.offchain.metering.markets import CHAIN, SCHEDULE, deployment, oracle_intake
from tests.offchain.metering.meters import HOUSEHOLD, MONDAY, QUARTER, SETTLEMENT, point

KEY = Account.from_key("0x" + "22" * 32)
POINTS = {
    name: point(point=name, meter=KEY.address, register=way)
    for name, way in (("IN", "import"), ("OUT", "export"))
}
MEMBER = POINTS["IN"].member
DELIVERED = SCHEDULE.delivery_end(0)
SETTINGS = GatewaySettings(patience=1800, look_back=7 * 86_400)


class Site:
    """A gateway with its database and keys, and the clock on its wall."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = DELIVERED
        self.market = read_market(deployment(folder))
        if not (folder / "keys").exists():
            Keystore(folder / "keys", "word").add("house", KEY, light=True)
        self.database = Database(f"sqlite:///{folder / 'gateway.db'}")
        self.database.require_current()
        self.keyring = Keyring([b"k" * 32])
        self.store = MessageStore(self.database, self.keyring)
        self.series = SeriesStore(self.database, self.keyring)
        directory = Directory()
        directory.update(
            chain_id=CHAIN, settlement=SETTLEMENT, slots=4, meters={MEMBER: KEY.address}, time=MONDAY + 10**6
        )
        self.intake = Intake(self.store, directory, POINTS)

    def gateway(self, *urls: str) -> Gateway:
        keys = MeterKeys(Keystore(self.folder / "keys", "word"))
        outboxes = [Outbox(self.store, Cursors(self.database), OracleClient(url)) for url in urls]
        return Gateway(
            self.market,
            POINTS,
            keys,
            self.store,
            self.series,
            self.intake,
            outboxes,
            SETTINGS,
            lambda: self.now,
        )

    def measure(self, name: str, values, start: int = MONDAY) -> None:
        rows = [(start + QUARTER * slot, value) for slot, value in enumerate(values) if value is not None]
        payload = readings_payload(
            chain_id=CHAIN,
            settlement=SETTLEMENT,
            point=name,
            sent=start + 4 * QUARTER,
            unit="Wh",
            interval=QUARTER,
            readings=rows,
        )
        (outcome,) = self.intake.accept([sign_readings(KEY, payload)])
        assert outcome.status == "stored", outcome

    def stated(self, auction: int = 0) -> list[tuple[int, ...]]:
        statements = self.store.statements(SETTLEMENT, auction).get(MEMBER, [])
        return [codec.unpack_readings(statement.readings) for statement in statements]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_step__all_measured__net_statement_that_settlement_takes_at_once(site):
    site.measure("IN", [100, 200, 300, 400])
    site.measure("OUT", [0, 250, 0, 0])
    site.gateway().step()
    assert site.stated() == [(-100, 50, -300, -400)]
    (statement,) = site.store.statements(SETTLEMENT, 0)[MEMBER]
    stated = typed_data.meter_statement(CHAIN, SETTLEMENT, 0, MEMBER, site.stated()[0])
    assert typed_data.signer_of(stated, statement.signature) == KEY.address


def test_step__delivery_not_over__nothing(site):
    site.measure("IN", [100, 200, 300, 400])
    site.measure("OUT", [0] * 4)
    site.now = DELIVERED - 1
    site.gateway().step()
    assert site.stated() == []


def test_step__gap__waits_for_the_meter_and_then_estimates_and_keeps_why(site):
    site.measure("IN", [100, None, 300, 400])
    site.measure("OUT", [0] * 4)
    site.gateway().step()
    assert site.stated() == []
    site.now = DELIVERED + SETTINGS.patience
    site.gateway().step()
    assert site.stated() == [(-100, -200, -300, -400)]
    kept = site.series.of(SETTLEMENT, 0)
    assert kept.keys() == {"IN", "OUT"}
    assert kept["IN"].quality.tolist() == [0, Quality.ESTIMATED, 0, 0]
    assert [decision.rule for decision in kept["IN"].decisions] == ["linear"]


def test_step__late_reading_within_the_patience__measured_after_all(site):
    site.measure("IN", [100, None, 300, 400])
    site.measure("OUT", [0] * 4)
    site.gateway().step()
    site.measure("IN", [None, 777])
    site.gateway().step()
    assert site.stated() == [(-100, -777, -300, -400)]


def test_step__nothing_known_of_a_point__no_statement_however_long(site):
    site.measure("IN", [100, 200, 300, 400])
    site.now = DELIVERED + 2 * SETTINGS.patience
    site.gateway().step()
    assert site.stated() == []


def test_step__correction_after_the_statement__no_second_statement(site):
    site.measure("IN", [100, 200, 300, 400])
    site.measure("OUT", [0] * 4)
    site.gateway().step()
    site.measure("IN", [999])
    site.gateway().step()
    assert site.stated() == [(-100, -200, -300, -400)]


def test_step__oracle_away_and_gateway_started_again__everything_arrives_once(site, tmp_path):
    site.measure("IN", [100, 200, 300, 400])
    site.measure("OUT", [0] * 4)
    (tmp_path / "oracle").mkdir()
    with oracle_intake(tmp_path / "oracle", POINTS) as oracle:
        url, port = oracle.url, oracle.server.port
    with pytest.raises(Undelivered):
        site.gateway(url).step()
    assert site.stated() == [(-100, -200, -300, -400)]
    site.database.close()
    again = Site(site.folder)
    with oracle_intake(tmp_path / "oracle", POINTS, port) as oracle:
        again.gateway(url).step()
        again.gateway(url).step()
        held = [message for _, message in oracle.store.after(0)]
        assert held == [message for _, message in again.store.after(0)]
        assert len(held) == 3
    again.database.close()


def test_step__one_oracle_away__the_other_is_served(site, tmp_path):
    site.measure("IN", [100, 200, 300, 400])
    with oracle_intake(tmp_path, POINTS) as oracle:
        with pytest.raises(Undelivered, match=r"127\.0\.0\.1:9"):
            site.gateway("http://127.0.0.1:9", oracle.url).step()
        assert len(oracle.store.after(0)) == 1


def test_step__oracle_that_knows_no_such_meter__rejected_once_and_gone_on(site, tmp_path, caplog):
    strangers = {"IN": replace(POINTS["IN"], meter=HOUSEHOLD)}
    site.measure("IN", [100, 200, 300, 400])
    with oracle_intake(tmp_path, strangers) as oracle:
        gateway = site.gateway(oracle.url)
        gateway.step()
        gateway.step()
        assert oracle.store.after(0) == []
    assert len([line for line in caplog.messages if "rejects a readings" in line]) == 1


def test_step__key_not_held__its_members_are_left_alone(site):
    other = Keystore(site.folder / "others", "word")
    other.new("somebody", light=True)
    site.measure("IN", [100, 200, 300, 400])
    site.measure("OUT", [0] * 4)
    keys = MeterKeys(other)
    Gateway(
        site.market, POINTS, keys, site.store, site.series, site.intake, [], SETTINGS, lambda: DELIVERED
    ).step()
    assert site.stated() == []
    assert not any(keys.holds(config) for config in points_of(POINTS, MEMBER))
