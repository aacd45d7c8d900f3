"""`clearwatt metering`: readings of files into a database or to oracles, statements out of them, and a look at both."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from clearwatt.errors import UserError
from clearwatt.metering.keys_cli import FOLDER

if TYPE_CHECKING:
    from clearwatt.metering.intake import Intake
    from clearwatt.metering.market_file import MeteredMarket
    from clearwatt.metering.messages import Message
    from clearwatt.metering.points import PointConfig
    from clearwatt.metering.series import Series
    from clearwatt.storage.database import Database
    from clearwatt.storage.messages import MessageStore
    from clearwatt.storage.sealing import Keyring

LOOK_BACK_SECONDS = 7 * 86_400

DATABASE = click.option(
    "--database",
    "url",
    envvar="CLEARWATT_DATABASE",
    required=True,
    help="As sqlite:///FILE or postgresql://...",
)
POINTS = click.option(
    "--points",
    "points_file",
    envvar="CLEARWATT_POINTS",
    required=True,
    help="Metering points: YAML, JSON or CSV.",
)
DEPLOYMENT = click.option(
    "--deployment",
    envvar="CLEARWATT_DEPLOYMENT",
    type=click.Path(path_type=Path),
    required=True,
    help="The market: a file that `ape run deploy` wrote.",
)
COLUMNS = click.option("--map", "map_file", required=True, help="What the files' columns mean: YAML or JSON.")
SENT = click.option(
    "--sent",
    type=click.IntRange(min=0),
    help="When the readings were sent, Unix seconds; of two for an interval the later holds. Default: each file's age.",
)
TO = click.option("--to", "urls", multiple=True, required=True, help="An oracle's address; may be repeated.")


@click.group()
def metering() -> None:
    """Bring meters' readings in, and state what was delivered.

    The password of the keys comes from CLEARWATT_KEY_PASSWORD or CLEARWATT_KEY_PASSWORD_FILE, what seals the
    database from CLEARWATT_DATA_KEYS or CLEARWATT_DATA_KEYS_FILE.
    """


@metering.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@COLUMNS
@POINTS
@FOLDER
@DATABASE
@DEPLOYMENT
@SENT
def import_files(
    files: Sequence[str],
    map_file: str,
    points_file: str,
    folder: Path,
    url: str,
    deployment: Path,
    sent: int | None,
) -> None:
    """Sign the readings of CSV and Parquet files with their meters' keys and keep them. Repeats are harmless."""
    from clearwatt.metering.outbox import in_batches
    from clearwatt.metering.points import read_points

    points = read_points(points_file)
    market, signed = _signed(files, map_file, points, folder, deployment, sent)
    with _stored(url) as (store, *_):
        intake = _intake(store, market, points)
        counts: dict[str, int] = {}
        for batch in in_batches(signed):
            for outcome in intake.accept(batch):
                counts[outcome.status] = counts.get(outcome.status, 0) + 1
                if outcome.reason:
                    click.echo(f"rejected: {outcome.reason}", err=True)
    _tell(counts)


@metering.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@COLUMNS
@POINTS
@FOLDER
@DEPLOYMENT
@SENT
@TO
def send(
    files: Sequence[str],
    map_file: str,
    points_file: str,
    folder: Path,
    deployment: Path,
    sent: int | None,
    urls: Sequence[str],
) -> None:
    """Sign the readings of CSV and Parquet files and send them to oracles, without keeping them here."""
    from clearwatt.metering.outbox import OracleClient, Undelivered, in_batches
    from clearwatt.metering.points import read_points

    _, signed = _signed(files, map_file, read_points(points_file), folder, deployment, sent)
    clients = [OracleClient(url) for url in urls]
    counts: dict[str, int] = {}
    try:
        for batch in in_batches(signed):
            for client in clients:
                for outcome in client.send(batch):
                    counts[outcome["status"]] = counts.get(outcome["status"], 0) + 1
                    if outcome.get("reason"):
                        click.echo(f"{client.url} rejects one: {outcome['reason']}", err=True)
    except Undelivered as error:
        raise UserError(f"{error}; send the files again, repeats are harmless") from None
    _tell(counts)


@metering.command()
@POINTS
@FOLDER
@DATABASE
@DEPLOYMENT
@TO
@click.option("--patience", type=click.IntRange(min=0), help="Seconds after delivery until substitutes are used. "
              "Default: half of the market's metering window.")  # fmt: skip
@click.option(
    "--poll", type=click.FloatRange(min=0.05, max=3600), default=10.0, show_default=True, help="Seconds."
)
@click.option("--once", is_flag=True, help="State and deliver what there is, and end.")
def gateway(
    points_file: str,
    folder: Path,
    url: str,
    deployment: Path,
    urls: Sequence[str],
    patience: int | None,
    poll: float,
    once: bool,
) -> None:
    """Make statements of delivered auctions from the database's readings, and bring oracles all it holds.

    It can be stopped and started again at any time.
    """
    from clearwatt.metering.gateway import Gateway, GatewaySettings
    from clearwatt.metering.keystore import Keystore, password
    from clearwatt.metering.market_file import read_market
    from clearwatt.metering.outbox import OracleClient, Outbox, Undelivered
    from clearwatt.metering.points import read_points
    from clearwatt.metering.series_store import SeriesStore
    from clearwatt.metering.signing import MeterKeys
    from clearwatt.storage.cursors import Cursors

    points, market = read_points(points_file), read_market(deployment)
    keys = MeterKeys(Keystore(folder, password()))
    waiting = market.schedule.metering_window // 2 if patience is None else patience
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with _stored(url) as (store, database, keyring):
        outboxes = [Outbox(store, Cursors(database), OracleClient(url)) for url in urls]
        service = Gateway(
            market,
            points,
            keys,
            store,
            SeriesStore(database, keyring),
            _intake(store, market, points),
            outboxes,
            GatewaySettings(waiting, LOOK_BACK_SECONDS, poll),
        )
        if not once:
            service.run(_until_told())
            return
        try:
            service.step()
        except Undelivered as error:
            raise UserError(f"{error}; what is not delivered stays in the database") from None


@metering.command()
@click.argument("point")
@click.argument("day", metavar="YYYY-MM-DD")
@POINTS
@DATABASE
@click.option("--interval", type=click.IntRange(1, 86_400), default=900, show_default=True, help="Seconds.")
def series(point: str, day: str, points_file: str, url: str, interval: int) -> None:
    """Show a metering point's cleaned values of one day of its own time zone, their quality, and every decision."""
    from clearwatt.metering.points import read_points

    points = read_points(points_file)
    if point not in points:
        raise UserError(f"{points_file} has no metering point {point}")
    first, last = _day(day, points[point].zone)
    with _stored(url) as (store, *_):
        cleaned = _series_of(store, points[point], first, last, interval)
    _show(cleaned, points[point].zone)


def _series_of(store: "MessageStore", point: "PointConfig", first: int, last: int, interval: int) -> "Series":
    from clearwatt.metering.messages import readings_of
    from clearwatt.metering.vee import clean, history_end, history_start

    if (last - first) % interval:
        raise UserError(f"--interval {interval}: the day of {last - first} s is no whole number of those")
    messages = store.readings([point.point], history_start(first), history_end(last))
    return clean([readings_of(message) for message in messages], point, first, last, interval)


def _show(series: "Series", zone: str) -> None:
    from clearwatt.metering.series import Quality

    place = ZoneInfo(zone)
    for index, (value, code) in enumerate(zip(series.values.tolist(), series.quality.tolist(), strict=True)):
        moment = datetime.fromtimestamp(series.start + index * series.interval, place)
        click.echo(f"{moment.isoformat(timespec='minutes')}  {value:>8} Wh  {Quality(code).name.lower()}")
    for decision in series.decisions:
        moment = datetime.fromtimestamp(decision.start, place)
        before, after = (text if text is not None else "-" for text in (decision.before, decision.after))
        click.echo(
            f"{moment.isoformat(timespec='seconds')}  {decision.rule}: {before} -> {after}  ({decision.reason})"
        )
    click.echo(f"{int(series.values.sum())} Wh, {len(series.decisions)} decisions")


def _day(text: str, zone: str) -> tuple[int, int]:
    """Unix seconds of a day's begin and end on the wall clock: 23, 24 or 25 hours apart."""
    try:
        day = date.fromisoformat(text)
        ends = [
            datetime(*moment.timetuple()[:3], tzinfo=ZoneInfo(zone))
            for moment in (day, day + timedelta(days=1))
        ]
    except (ValueError, OverflowError):
        raise UserError(f"{text} is not a day like 2025-10-26") from None
    return int(ends[0].timestamp()), int(ends[1].timestamp())


def _signed(
    files: Sequence[str],
    map_file: str,
    points: Mapping[str, "PointConfig"],
    folder: Path,
    deployment: Path,
    sent: int | None,
) -> tuple["MeteredMarket", "Iterator[Message]"]:
    """The market, and the signed messages of all files, made as they are asked for."""
    from clearwatt.metering.files import read_file, read_map
    from clearwatt.metering.keystore import Keystore, password
    from clearwatt.metering.market_file import read_market
    from clearwatt.metering.signing import MeterKeys, messages_of

    columns, market = read_map(map_file), read_market(deployment)
    keys = MeterKeys(Keystore(folder, password()))
    ages = {file: _age(file) if sent is None else sent for file in files}
    signed = (
        message
        for file, age in ages.items()
        for message in messages_of(read_file(file, columns, points), market, age, points, keys)
    )
    return market, signed


def _age(file: str) -> int:
    """When the file was written, Unix seconds: the same file, read again, makes the same messages."""
    from clearwatt.documents import problems_of

    with problems_of(file):
        status = Path(file).stat()
    return int(status.st_mtime)


def _tell(counts: Mapping[str, int]) -> None:
    click.echo(", ".join(f"{counts.get(status, 0)} {status}" for status in ("stored", "known", "rejected")))
    if counts.get("rejected"):
        click.get_current_context().exit(1)


@contextmanager
def _stored(url: str) -> "Iterator[tuple[MessageStore, Database, Keyring]]":
    """The database's messages; what is wrong with it is told in a sentence."""
    from clearwatt.storage.database import Database, StoreError
    from clearwatt.storage.messages import MessageStore
    from clearwatt.storage.sealing import Keyring

    keyring = Keyring.from_environment()
    database = Database(url)
    try:
        database.require_current()
        yield MessageStore(database, keyring), database, keyring
    except StoreError as error:
        raise UserError(str(error)) from None
    finally:
        database.close()


def _intake(store: "MessageStore", market: "MeteredMarket", points: Mapping[str, "PointConfig"]) -> "Intake":
    """What checks messages here as an oracle would; whose meter is whose, the points file says."""
    from clearwatt.metering.intake import Directory, Intake

    directory = Directory()
    directory.update(
        chain_id=market.chain_id,
        settlement=market.settlement,
        slots=market.schedule.slots,
        meters={point.member: point.meter for point in points.values()},
        time=int(time.time()),
    )
    return Intake(store, directory, points)


def _until_told() -> threading.Event:
    """Set by SIGINT and SIGTERM."""
    stopping = threading.Event()
    stop: Callable[[int, Any], None] = lambda number, frame: stopping.set()  # noqa: E731
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopping
