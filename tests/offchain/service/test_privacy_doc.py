"""docs/privacy.md says what is on the chain: it has to name every event, and nothing that does not exist."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PRIVACY = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")

INHERITED_EVENTS = {"TransferSingle", "TransferBatch", "ApprovalForAll"} | {
    "OwnershipTransferStarted",
    "OwnershipTransferred",
}
"""Of OpenZeppelin's ERC1155 and Ownable2Step, as far as the contracts log them."""


@cache
def contracts() -> str:
    """The sources that are deployed."""
    paths = (ROOT / "contracts").rglob("*.sol")
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if "mocks" not in path.parts)


@cache
def sources() -> str:
    programs = (ROOT / "offchain" / "clearwatt").rglob("*.py")
    example = ROOT / "deployments" / "market.example.yaml"
    return contracts() + "\n".join(path.read_text(encoding="utf-8") for path in [*programs, example])


def named() -> set[str]:
    """Single words in code type."""
    return set(re.findall(r"`([A-Za-z_]+)`", PRIVACY))


def test_events__of_the_contracts__are_all_named() -> None:
    declared = set(re.findall(r"^\s*event (\w+)", contracts(), re.MULTILINE))
    assert {"BidsPlaced", "MembersSettled"} <= declared
    assert declared | INHERITED_EVENTS <= named()


def test_names_in_code_type__all__exist() -> None:
    words = set(re.findall(r"\w+", sources())) | INHERITED_EVENTS
    assert named() - words == set()


def test_commands_and_options__all__exist() -> None:
    options = set(re.findall(r"--[a-z][a-z-]+", PRIVACY))
    assert options
    assert {
        option for option in options if f'"{option}' not in sources() and f"/{option}" not in sources()
    } == set()
