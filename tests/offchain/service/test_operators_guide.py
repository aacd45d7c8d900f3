"""docs/operators.md: a chapter for every alert, and commands as they are."""

import re
from pathlib import Path

import click
import pytest
import yaml

from clearwatt.cli import main

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
COMMANDS = sorted(
    set(re.findall(r"clearwatt ((?:database|keys|metering|oracle|dispatch)(?: [a-z][a-z-]*)?)", GUIDE))
)


def chapters() -> dict[str, str]:
    """What is said about each alert."""
    parts = re.split(r"^### (\w+)$", GUIDE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def command_of(words: str) -> click.Command:
    command: click.Command = main
    for word in words.split():
        found = (
            command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        )
        assert found, words
        command = found
    return command


def test_alerts__chapters__one_for_each_and_none_besides() -> None:
    alerts = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
    assert list(chapters()) == alerts
    assert all(len(text.split()) > 15 for text in chapters().values())


def test_links__to_chapters_and_files__lead_somewhere() -> None:
    anchors = {
        line.lstrip("# ").lower().replace(" ", "-") for line in GUIDE.splitlines() if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert target.removeprefix("#") in anchors or (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("words", COMMANDS)
def test_command__named_in_the_guide__exists(words: str) -> None:
    assert command_of(words).help


def test_options__named_in_the_guide__exist() -> None:
    commands = [command_of(words) for words in COMMANDS]
    known = {name for command in commands for option in command.params for name in option.opts}
    others = {
        "--network",
        "--config",
        "--account",
        "--file",
        "--tag",
        "--help",
        "--version",
    }  # of ape and docker
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDE))
    assert named - known - others == set()


def test_files__of_deploy__exist() -> None:
    named = re.findall(r"`(deploy/[^`\s]*)`", GUIDE)
    assert len(named) >= 3
    assert all((ROOT / path).exists() for path in named)
