"""The commands `clearwatt database ...`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import func, select

from clearwatt.errors import UserError
from clearwatt.storage import backup as backups
from clearwatt.storage.database import Database, StoreError, newest_version
from clearwatt.storage.rotation import keys_in_use, require_keys
from clearwatt.storage.rotation import rotate as rotated_batches
from clearwatt.storage.sealing import Keyring, new_key
from clearwatt.storage.tables import messages

DATABASE_VARIABLE = "CLEARWATT_DATABASE"

only_url = click.argument("url", envvar=DATABASE_VARIABLE)


@click.group()
def database() -> None:
    """The database of an oracle or a gateway: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME.

    The keys that seal its readings are in CLEARWATT_DATA_KEYS, newest first and separated by commas, or line by line in
    the file CLEARWATT_DATA_KEYS_FILE.
    """


@database.command()
@only_url
def upgrade(url: str) -> None:
    """Bring the tables up to date, or make them in an empty database. Back it up first."""
    with _opened(url) as opened:
        before = opened.schema_version()
        opened.migrate()
        after = opened.schema_version()
    click.echo(f"version {after}" if before == after else f"version {before or 'none'} -> {after}")


@database.command()
@only_url
@click.pass_context
def status(context: click.Context, url: str) -> None:
    """Say what is in the database and by which keys it is sealed; exit with 1 if it cannot be used as it is."""
    with _opened(url, must_exist=True) as opened:
        version = opened.schema_version()
        click.echo(f"database  {opened.shown}")
        click.echo(f"version   {version or 'none'}, needed: {newest_version()}")
        if version != newest_version():
            click.echo("run `clearwatt database upgrade`")
            context.exit(1)
        _show_content(opened)
        try:
            require_keys(opened, Keyring.from_environment())
        except UserError as obstacle:
            click.echo(obstacle)
            context.exit(1)


@database.command()
@only_url
def rotate(url: str) -> None:
    """Seal everything anew with the newest key. The database may be in use; broken off, it goes on where it was.

    First put the new key before the old ones and restart the oracle. When all is done, and restarted without the old
    keys, they can be destroyed; backups still need them.
    """
    keyring = Keyring.from_environment(takes_clear=True)
    if not keyring.encrypts:
        raise UserError("there is no key to seal with: `clearwatt database new-key` makes one")
    with _opened(url, must_exist=True) as opened:
        opened.require_current()
        total = sum(keys_in_use(opened).values()) - keys_in_use(opened)[keyring.key_id]
        with click.progressbar(length=total, label="sealing anew") as bar:
            for count in rotated_batches(opened, keyring):
                bar.update(count)
    click.echo(f"{total} values sealed anew with the key {keyring.key_id.hex()}")


@database.command("new-key")
def new_data_key() -> None:
    """Print a fresh key for CLEARWATT_DATA_KEYS. Without it nobody reads the database: keep it safe, and apart."""
    click.echo(new_key())


@database.command()
@click.argument("url")
@click.argument("file", type=click.Path(path_type=Path))
def backup(url: str, file: Path) -> None:
    """Copy an SQLite database to FILE, while it is in use. What is sealed stays sealed: the copy needs the keys."""
    with _opened(url, must_exist=True) as opened:
        backups.back_up(opened, file)


@database.command()
@click.argument("url")
@click.argument("file", type=click.Path(path_type=Path))
def restore(url: str, file: Path) -> None:
    """Make an SQLite database from the copy FILE. The oracle is stopped and its old database moved away."""
    with _opened(url) as opened:
        backups.restore(opened, file)


@database.command()
@only_url
def restored(url: str) -> None:
    """Tell a PostgreSQL database that it was restored, so that peers read it from its beginning again."""
    with _opened(url, must_exist=True) as opened:
        backups.become_new_log(opened)


@contextmanager
def _opened(url: str, must_exist: bool = False) -> Iterator[Database]:
    opened = Database(url)
    if must_exist and opened.path is not None and not opened.path.is_file():
        raise UserError(f"there is no file {opened.path}")
    try:
        yield opened
    except StoreError as error:
        raise UserError(str(error)) from None
    finally:
        opened.close()


def _show_content(opened: Database) -> None:
    with opened.reading() as connection:
        counts = connection.execute(select(messages.c.kind, func.count()).group_by(messages.c.kind))
        for kind, count in sorted(map(tuple, counts)):
            click.echo(f"messages  {count} of kind {kind}")
    for key_id, count in sorted(keys_in_use(opened).items()):
        click.echo(f"sealed    {count} " + (f"with the key {key_id.hex()}" if key_id else "not at all"))
