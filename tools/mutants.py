"""Breaks the rules one at a time and asks the tests whether they notice; `make mutants`.

tests/mutants/*.toml list the mutants, one file of mutants for one source:

    file = "contracts/libraries/Equilibrium.sol"
    [[suites]]                     # tried in this order until one kills the mutant
    contracts = ["Market"]         # compiled with the mutant for these tests; none for Python
    tests = ["tests/contracts/market"]
    [[mutants]]
    name = "e4-surplus-passes"     # unique
    rule = "E4"
    text = "surplus != 0"          # stands exactly once in the source
    becomes = "surplus < 0"

Everything happens in a copy in out/mutants; the project's own sources stay as they are. First the suites run on the
sources as they are and must pass. Exits with 1 if a mutant survives or its text is not there exactly once.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = (ROOT / ".venv").resolve() / "bin"
LISTS = ROOT / "tests" / "mutants"
COPY = ROOT / "out" / "mutants"  # Ape finds nothing to compile below a hidden folder
MANIFEST = COPY / ".build" / "__local__.json"
COPIED = ("contracts", "tests", "offchain", "scripts", "ape-config.yaml", "pyproject.toml", "foundry.toml")
LINKED = (".venv", "node_modules", "data", "deployments", "package.json")
TIMEOUT = 600.0
"""Seconds a suite may take; a mutant that makes it hang is noticed as well."""

FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class MutantError(Exception):
    """The campaign can't go on; the message says why."""


@dataclass(frozen=True)
class Suite:
    """Tests that should notice, and the contracts that carry the mutant into them."""

    contracts: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Mutant:
    """One change to one source."""

    name: str
    rule: str
    file: str
    text: str
    becomes: str
    suites: tuple[Suite, ...]

    def source(self) -> str:
        """The mutated source."""
        original = (ROOT / self.file).read_text(encoding="utf-8")
        return original.replace(self.text, self.becomes)

    def flaw(self) -> str | None:
        """What is wrong with the entry itself."""
        path = ROOT / self.file
        found = path.read_text(encoding="utf-8").count(self.text) if path.exists() else 0
        if found != 1:
            return f"its text stands {found} times in {self.file}, not once"
        return "it changes nothing" if self.text == self.becomes else None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="this mutant, or all whose name starts so"
    )
    parser.add_argument(
        "--check", action="store_true", help="only see whether every text is where it should be"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        mutants = chosen(read_lists(), arguments.only)
        flaws = {mutant: flaw for mutant in mutants if (flaw := mutant.flaw())}
        for mutant, flaw in flaws.items():
            print(f"{mutant.name}: {flaw}", file=sys.stderr)
        survivors = [] if arguments.check else campaign([mutant for mutant in mutants if mutant not in flaws])
    except MutantError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 1
    print(
        f"mutants: {len(mutants)}, of which {len(survivors)} survived and {len(flaws)} do not fit their source",
        end="",
    )
    print(f"; {time.monotonic() - started:.0f} s")
    for mutant in survivors:
        print(f"mutants: {mutant.name} survived", file=sys.stderr)
    return 1 if survivors or flaws else 0


# ------------------------------------------------------------------------------------------------ the lists


def read_lists() -> list[Mutant]:
    mutants = [mutant for path in sorted(LISTS.glob("*.toml")) for mutant in read_list(path)]
    names = [mutant.name for mutant in mutants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise MutantError(f"named twice: {', '.join(sorted(twice))}")
    return mutants


def read_list(path: Path) -> list[Mutant]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        suites = tuple(Suite(tuple(s["contracts"]), tuple(s["tests"])) for s in content["suites"])
        return [Mutant(file=content["file"], suites=suites, **entry) for entry in content["mutants"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise MutantError(f"{path.name} is not a list of mutants: {error}") from error


def chosen(mutants: list[Mutant], names: Sequence[str] | None) -> list[Mutant]:
    if not names:
        return mutants
    found = [mutant for mutant in mutants if mutant.name.startswith(tuple(names))]
    if not found:
        raise MutantError(f"no mutant is named {' or '.join(names)}")
    return found


# ------------------------------------------------------------------------------------------------ the campaign


def campaign(mutants: list[Mutant]) -> list[Mutant]:
    """Tries every mutant and prints what becomes of it; gives those that nothing noticed."""
    lay_out_copy()
    for suite in dict.fromkeys(suite for mutant in mutants for suite in mutant.suites):
        if killer := first_failure(suite):
            raise MutantError(f"{killer} fails without any mutant")
    width = max((len(mutant.name) for mutant in mutants), default=0)
    survivors = []
    for mutant in mutants:
        started = time.monotonic()
        killer = fate(mutant)
        verdict = f"killed by {killer}" if killer else "SURVIVED"
        print(
            f"{mutant.rule:4} {mutant.name:{width}}  {time.monotonic() - started:3.0f} s  {verdict}",
            flush=True,
        )
        if not killer:
            survivors.append(mutant)
    return survivors


def lay_out_copy() -> None:
    """A private copy of the project, compiled."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, COPY / name)
    for name in LINKED:
        (COPY / name).symlink_to(ROOT / name)
    done = run([BIN / "ape", "compile", "--force"])
    if done.returncode:
        raise MutantError(f"the contracts don't compile: {done.stdout}")


def fate(mutant: Mutant) -> str | None:
    """The test that notices the mutant, or None. The copy is afterwards as it was."""
    if not mutant.file.endswith(".sol"):
        return fate_of_python(mutant)
    manifest = MANIFEST.read_bytes()
    try:
        for suite in mutant.suites:
            plant(mutant, suite.contracts, json.loads(manifest))
            if killer := first_failure(suite):
                return killer
        return None
    finally:
        MANIFEST.write_bytes(manifest)


def fate_of_python(mutant: Mutant) -> str | None:
    path = COPY / mutant.file
    original = path.read_bytes()
    try:
        path.write_text(mutant.source(), encoding="utf-8")
        return next(filter(None, map(first_failure, mutant.suites)), None)
    finally:
        path.write_bytes(original)


def first_failure(suite: Suite) -> str | None:
    """The first test of the suite that does not pass, or None."""
    command = [BIN / "python", "-B", "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-rfE"]
    plain = [] if suite.contracts else ["-p", "no:ape_test"]
    try:
        done = run([*command, *plain, *suite.tests])
    except subprocess.TimeoutExpired:
        return "the clock"
    if done.returncode not in (0, 1):
        raise MutantError(f"pytest could not run {' '.join(suite.tests)}: {done.stdout[-2000:]}")
    found = FIRST_FAILURE.search(done.stdout)
    return (found[1] if found else "an unnamed test") if done.returncode else None


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Runs in the copy, on the copy's own Python sources."""
    return subprocess.run(
        command,
        cwd=COPY,
        env=os.environ | {"PYTHONPATH": str(COPY / "offchain")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


# ------------------------------------------------------------------------------------------------ the compiler


def plant(mutant: Mutant, contracts: Sequence[str], manifest: dict[str, Any]) -> None:
    """Puts the mutant's bytecode where Ape keeps the original's; sources stay, so that Ape sees nothing to compile."""
    for name, code in compiled(mutant, contracts).items():
        manifest["contractTypes"][name]["deploymentBytecode"]["bytecode"] = f"0x{code}"
    MANIFEST.write_text(json.dumps(manifest), encoding="utf-8")


def compiled(mutant: Mutant, contracts: Sequence[str]) -> dict[str, str]:
    """Creation code of the contracts with the mutant in them, hex."""
    sources = {
        p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8")
        for p in sorted(ROOT.glob("contracts/**/*.sol"))
    }
    paths = {name: path for name in contracts for path in sources if Path(path).stem == name}
    sources[mutant.file] = mutant.source()
    profile = tomllib.loads((ROOT / "foundry.toml").read_text(encoding="utf-8"))["profile"]["default"]
    job = {
        "language": "Solidity",
        "sources": {path: {"content": text} for path, text in sources.items()},
        "settings": {
            "evmVersion": profile["evm_version"],
            "viaIR": profile["via_ir"],
            "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
            "remappings": profile["remappings"],
            "outputSelection": {path: {name: ["evm.bytecode.object"]} for name, path in paths.items()},
        },
    }
    done = subprocess.run(
        [BIN / "solc", "--standard-json"], input=json.dumps(job), capture_output=True, text=True, check=False
    )
    answer = json.loads(done.stdout)
    if flaws := [e["formattedMessage"] for e in answer.get("errors", []) if e["severity"] == "error"]:
        raise MutantError(f"{mutant.name} does not compile: {flaws[0]}")
    return {
        name: answer["contracts"][path][name]["evm"]["bytecode"]["object"] for name, path in paths.items()
    }


if __name__ == "__main__":
    sys.exit(main())
