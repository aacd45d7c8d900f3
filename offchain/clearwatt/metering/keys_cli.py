"""`clearwatt keys`: keys of meters and oracles, encrypted in a folder."""

from pathlib import Path

import click

FOLDER = click.option(
    "--keys",
    "folder",
    envvar="CLEARWATT_KEYS",
    type=click.Path(path_type=Path, file_okay=False),
    default="keys",
    show_default=True,
    help="The folder of key files.",
)
LIGHT = click.option(
    "--light", is_flag=True, help="Quick to open: for many keys behind one long random password."
)


@click.group()
def keys() -> None:
    """Keep the keys of meters and oracles in encrypted files.

    The files have the format of Ethereum wallets. Their password comes from CLEARWATT_KEY_PASSWORD, or from
    the file that CLEARWATT_KEY_PASSWORD_FILE names.
    """


@keys.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@FOLDER
@LIGHT
def new(names: tuple[str, ...], folder: Path, light: bool) -> None:
    """Make a key for each name, and print its address. A meter's key is called as its metering point is."""
    from clearwatt.metering.keystore import Keystore, password

    store = Keystore(folder, password())
    for name in names:
        click.echo(f"{store.new(name, light)}  {name}")


@keys.command("list")
@FOLDER
def list_all(folder: Path) -> None:
    """Print the address and the name of every key. Needs no password."""
    from clearwatt.metering.keystore import list_keys

    for name, held in list_keys(folder).items():
        click.echo(f"{held}  {name}")


@keys.command()
@click.argument("name")
@FOLDER
def address(name: str, folder: Path) -> None:
    """Print the address of a key. Needs no password."""
    from clearwatt.metering.keystore import address_of

    click.echo(address_of(folder, name))


@keys.command("import")
@click.argument("name")
@click.argument("file", metavar="FILE", default="-")
@FOLDER
@LIGHT
def import_key(name: str, file: str, folder: Path, light: bool) -> None:
    """Keep a private key, in hex in a file or on standard input. The file is left as it is."""
    from clearwatt.documents import problems_of, read_text
    from clearwatt.metering.keystore import Keystore, password, private_key

    store = Keystore(folder, password())
    with problems_of(file):
        text = read_text(file)
    click.echo(f"{store.add(name, private_key(text), light)}  {name}")
