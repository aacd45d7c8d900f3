"""Breaks the rules one at a time and asks the tests whether they notice; `make mutants`.

tests/mutants/*.toml list the mutants, one file of mutants for one source:

    file = "contracts/libraries/Equilibrium.sol"
    [[suites]]                     # tried in this order until one kills the mutant
    contracts = ["Market"]         # compiled with the mutant for these tests; none for Python
    tests = ["tests/contracts/market"]
    [[suites]]
    forge = "tests/fuzz/Equilibrium.t.sol"  # or by forge, in a copy of nothing but what it needs
    needs = ["contracts/libraries"]
    [[mutants]]
    name = "e4-surplus-passes"     # unique
    rule = "E4"
    text = "surplus != 0"          # stands exactly once in the source
    becomes = "surplus < 0"

Everything happens in copies in out/mutants; the project's own sources stay as they are. At the end the tests that
killed a mutant must pass without one. Exits with 1 if a mutant survives or its text is not there exactly once.
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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = (ROOT / ".venv").resolve() / "bin"
LISTS = ROOT / "tests" / "mutants"
COPIES = ROOT / "out" / "mutants"  # Ape finds nothing to compile below a hidden folder
MANIFEST = Path(".build") / "__local__.json"
COPIED = ("contracts", "tests", "offchain", "scripts", "ape-config.yaml", "pyproject.toml", "foundry.toml")
LINKED = (".venv", "node_modules", "data", "deployments", "package.json")
TIMEOUT = 600.0
"""Seconds a suite may take; a mutant that makes it hang is noticed as well."""

FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
HANGS = "the clock"
FORGE = "forge, "


class MutantError(Exception):
    """The campaign can't go on; the message says why."""


@dataclass(frozen=True)
class Suite:
    """Tests that should notice and the contracts that carry the mutant into them, or a forge test and what it needs."""

    contracts: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    forge: str = ""
    needs: tuple[str, ...] = ()


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

    @property
    def on_chain(self) -> bool:
        return self.file.endswith(".sol")

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
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="so many at a time"
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
        fitting = [mutant for mutant in mutants if mutant not in flaws]
        survivors = [] if arguments.check else campaign(fitting, max(1, arguments.jobs))
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
        suites = tuple(suite_of(entry) for entry in content["suites"])
        return [Mutant(file=content["file"], suites=suites, **entry) for entry in content["mutants"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise MutantError(f"{path.name} is not a list of mutants: {error}") from error


def suite_of(entry: dict[str, Any]) -> Suite:
    return Suite(**{key: value if isinstance(value, str) else tuple(value) for key, value in entry.items()})


def chosen(mutants: list[Mutant], names: Sequence[str] | None) -> list[Mutant]:
    if not names:
        return mutants
    found = [mutant for mutant in mutants if mutant.name.startswith(tuple(names))]
    if not found:
        raise MutantError(f"no mutant is named {' or '.join(names)}")
    return found


# ------------------------------------------------------------------------------------------------ the campaign


def campaign(mutants: list[Mutant], jobs: int) -> list[Mutant]:
    """Tries every mutant and prints what becomes of it; gives those that nothing noticed."""
    copies = lay_out_copies(jobs, compiled=any(mutant.on_chain for mutant in mutants))
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)
    width = max((len(mutant.name) for mutant in mutants), default=0)

    def trial(mutant: Mutant) -> tuple[Mutant, str | None]:
        copy, started = free.get(), time.monotonic()
        try:
            killer = fate(copy, mutant)
        finally:
            free.put(copy)
        verdict = f"killed by {killer}" if killer else "SURVIVED"
        print(
            f"{mutant.rule:4} {mutant.name:{width}} {time.monotonic() - started:4.0f} s  {verdict}",
            flush=True,
        )
        return mutant, killer

    with ThreadPoolExecutor(jobs) as pool:
        fates = list(pool.map(trial, mutants))
    check_killers(copies[0], fates)
    return [mutant for mutant, killer in fates if not killer]


def check_killers(copy: Path, fates: list[tuple[Mutant, str | None]]) -> None:
    """A test that fails by itself has killed nothing."""
    for on_chain in (True, False):
        named = {killer for mutant, killer in fates if killer and mutant.on_chain == on_chain}
        of_kind = {killer for killer in named if killer != HANGS and not killer.startswith(FORGE)}
        if of_kind and (failing := first_failure(copy, sorted(of_kind), on_chain)):
            raise MutantError(f"{failing} fails without any mutant")


def lay_out_copies(count: int, compiled: bool) -> list[Path]:
    """Private copies of the project; compiled, unless nothing needs that."""
    shutil.rmtree(COPIES, ignore_errors=True)
    copies = [COPIES / str(number) for number in range(count)]
    copies[0].mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copies[0] / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copies[0] / name)
    for name in LINKED:
        (copies[0] / name).symlink_to(ROOT / name)
    if compiled and (done := run(copies[0], [BIN / "ape", "compile", "--force"])).returncode:
        raise MutantError(f"the contracts don't compile: {done.stdout}")
    for copy in copies[1:]:
        shutil.copytree(copies[0], copy, symlinks=True)
    return copies


def fate(copy: Path, mutant: Mutant) -> str | None:
    """The test that notices the mutant, or None. The copy is afterwards as it was."""
    changed = copy / (MANIFEST if mutant.on_chain else mutant.file)
    original = changed.read_bytes()
    try:
        for suite in mutant.suites:
            if suite.forge:
                if forge_notices(copy, suite, mutant):
                    return f"{FORGE}{suite.forge}"
                continue
            if mutant.on_chain:
                changed.write_text(
                    with_mutant(mutant, suite.contracts, json.loads(original)), encoding="utf-8"
                )
            else:
                changed.write_text(mutant.source(), encoding="utf-8")
            if killer := first_failure(copy, suite.tests, mutant.on_chain):
                return killer
        return None
    finally:
        changed.write_bytes(original)


def forge_notices(copy: Path, suite: Suite, mutant: Mutant) -> bool:
    """Whether the forge test fails on the mutant."""
    folder = copy / "forge"
    if not folder.exists():
        lay_out_forge(folder, suite)
    changed = folder / mutant.file
    original = changed.read_bytes()
    try:
        changed.write_text(mutant.source(), encoding="utf-8")
        done = run(folder, [BIN / "forge", "test", "--fail-fast", "--match-path", suite.forge])
    except subprocess.TimeoutExpired:
        return True
    finally:
        changed.write_bytes(original)
    if "Compiler run failed" in done.stdout:
        raise MutantError(f"{mutant.name} does not compile: {done.stdout[-2000:]}")
    return done.returncode != 0


def lay_out_forge(folder: Path, suite: Suite) -> None:
    """What the forge test needs and nothing else, so that little is compiled; it must pass without a mutant."""
    for name in (*suite.needs, suite.forge, "foundry.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", "node_modules"):
        (folder / name).symlink_to(ROOT / name)
    done = run(folder, [BIN / "forge", "test", "--match-path", suite.forge])
    if done.returncode:
        raise MutantError(f"{suite.forge} fails without any mutant: {done.stdout[-2000:]}")


def first_failure(copy: Path, tests: Sequence[str], on_chain: bool) -> str | None:
    """The first of these tests that does not pass, or None."""
    command = [BIN / "python", "-B", "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-rfE"]
    plain = [] if on_chain else ["-p", "no:ape_test"]
    try:
        done = run(copy, [*command, *plain, *tests])
    except subprocess.TimeoutExpired:
        return HANGS
    if done.returncode not in (0, 1):
        raise MutantError(f"pytest could not run {' '.join(tests)}: {done.stdout[-2000:]}")
    found = FIRST_FAILURE.search(done.stdout)
    return (found[1] if found else "an unnamed test") if done.returncode else None


def run(copy: Path, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Runs in the copy, on the copy's own Python sources."""
    return subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "offchain")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


# ------------------------------------------------------------------------------------------------ the compiler


def with_mutant(mutant: Mutant, contracts: Sequence[str], manifest: dict[str, Any]) -> str:
    """What Ape keeps of the compilation, with the mutant's bytecode; sources stay, so it sees nothing to compile."""
    for name, code in compiled(mutant, contracts).items():
        manifest["contractTypes"][name]["deploymentBytecode"]["bytecode"] = f"0x{code}"
    return json.dumps(manifest)


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
