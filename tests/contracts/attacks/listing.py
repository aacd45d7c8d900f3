"""The list of attacks, made of the tests: `python -m tests.contracts.attacks.listing` writes docs/attacks.md anew.

A theme is a module's first sentence, an attack the first line of a test's docstring.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[2] / "docs" / "attacks.md"
THEMES = (
    "replay",
    "signatures",
    "tokens",
    "time",
    "overflow",
    "calldata",
    "oracles",
    "members",
    "owner",
    "chunks",
    "sealed",
    "connections",
)
HEAD = """# Attacks

What has been tried against the contracts, each as a test that shows what comes of it; after every one the balances and
the clearing account still add up to what was deposited less what was withdrawn. The sentences are those of the tests in
`tests/contracts/attacks/`, and `tests/contracts/attacks/test_listing.py` fails when the two differ. A random adversary
that lies in every field of every call plays whole auctions in `tests/contracts/adversary/`.
"""


def attacks(theme: str) -> Iterator[tuple[str, str]]:
    """Each test's name and the attack it makes, in the order of the file."""
    for node in _tree(theme).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, (ast.get_docstring(node) or "").partition("\n")[0]


def _tree(theme: str) -> ast.Module:
    return ast.parse((FOLDER / f"test_{theme}.py").read_text(encoding="utf-8"))


def listing() -> str:
    """The document as it should be."""
    return HEAD + "".join(map(_section, THEMES))


def _section(theme: str) -> str:
    title, _, summary = (ast.get_docstring(_tree(theme)) or "").partition("\n")[0].partition(": ")
    lines = "".join(f"- {sentence}  \n  `{name}`\n" for name, sentence in attacks(theme))
    return f"\n## {title}\n\n{summary[:1].upper()}{summary[1:]} (`test_{theme}.py`)\n\n{lines}"


if __name__ == "__main__":
    DOCUMENT.write_text(listing(), encoding="utf-8")
