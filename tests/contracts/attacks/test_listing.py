"""docs/attacks.md lists exactly the attacks there are."""

from tests.contracts.attacks.listing import DOCUMENT, FOLDER, THEMES, attacks, listing


def test_document__lists_every_attack() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == listing()


def test_themes__every_file_is_one() -> None:
    files = {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")}
    assert files == {*THEMES, "listing"}


def test_sentences__begin_with_who_and_are_told_once() -> None:
    sentences = [sentence for theme in THEMES for _, sentence in attacks(theme)]
    assert all(sentence.startswith(("A ", "An ", "All ", "Somebody ")) for sentence in sentences)
    assert all(sentence.endswith(".") for sentence in sentences)
    assert len(set(sentences)) == len(sentences)
