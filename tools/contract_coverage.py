"""Says how much of the contracts the tests come through, by statement and by branch; `make coverage`.

A copy of the project is made in out/coverage and left there, its contracts with probes in them (probes.py says what
counts), and the contract tests run there, every transaction and call traced. Mocks and interfaces are not counted;
tests of gas and size are left out, since probes cost both.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.probes import Instrumenter, Node, Probe, relaxed  # noqa: E402

VENV = (
    ROOT / ".venv"
).resolve()  # as the environment itself knows it: its start-up looks for this in the PATH
BIN = VENV / "bin"
COPY = ROOT / "out" / "coverage"  # Ape finds nothing to compile below a hidden folder
HITS = COPY / "hits.json"
COPIED = (
    "contracts",
    "tests",
    "offchain",
    "scripts",
    "tools",
    "ape-config.yaml",
    "pyproject.toml",
    "foundry.toml",
)
LINKED = (".venv", "node_modules", "data", "deployments", "docs", "package.json")
NOT_COUNTED = ("contracts/interfaces/", "contracts/mocks/")
# Tests of how much gas or code something takes: every probe costs gas.
LEFT_OUT = (
    "tests/contracts/test_gas.py",
    "tests/contracts/test_sizes.py",
    "tests/contracts/test_capacity.py",
    "tests/contracts/attacks/test_signatures.py::test_wallet__burns_gas__others_are_placed",
    "tests/contracts/chunked/test_driver.py::test_fill__gas__within_what_the_plan_reckons_with",
    "tests/contracts/market/test_limits.py::test_full_auction__at_all_limits__clears_in_one_transaction",
)
# A transaction may take all of a block, and the accounts that tests make have one ether to pay for it.
ROOMY_CHAIN = ("--gas-limit", "300000000", "--code-size-limit", "10000000")


class CoverageError(Exception):
    """Coverage can't be measured; the message says why."""


def main() -> int:
    started = time.monotonic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fail-under", type=float, default=0, metavar="PERCENT", help="of statements and branches"
    )
    parser.add_argument("tests", nargs="*", default=["tests/contracts"], help="tests/contracts, unless named")
    arguments = parser.parse_args()
    try:
        probes = lay_out_copy()
        passed = run_tests(arguments.tests)
        hits = read_hits()
    except CoverageError as error:
        print(f"coverage: {error}", file=sys.stderr)
        return 1
    reached = report(probes, hits)
    print(f"coverage: measured in {time.monotonic() - started:.0f} s")
    if not passed:
        print("coverage: tests failed, see above; the figures are of what they came through", file=sys.stderr)
    if reached < arguments.fail_under:
        print(f"coverage: {reached:.1f} % is below {arguments.fail_under:g} %", file=sys.stderr)
    return 0 if passed and reached >= arguments.fail_under else 1


# ------------------------------------------------------------------------------------------------ the copy


def lay_out_copy() -> list[Probe]:
    """A copy of the project with probes in its contracts; gives what they stand for."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, COPY / name)
    for name in LINKED:
        (COPY / name).symlink_to(ROOT / name)
    write_chain()
    return put_probes()


def write_chain() -> None:
    """An anvil before the usual one in the PATH, on which size and gas of the probes don't matter."""
    script = COPY / "bin" / "anvil"
    script.parent.mkdir()
    plain = VENV / "ape" / "anvil"
    script.write_text(f'#!/bin/sh\nexec "{plain}" "$@" {" ".join(ROOMY_CHAIN)}\n', encoding="utf-8")
    script.chmod(0o755)


def put_probes() -> list[Probe]:
    instrumenter = Instrumenter()
    for path, tree in syntax_trees().items():
        file = COPY / path
        source = file.read_bytes()
        counted = not path.startswith(NOT_COUNTED)
        file.write_bytes(instrumenter.with_probes(path, source, tree) if counted else relaxed(source, tree))
    return instrumenter.probes


def syntax_trees() -> dict[str, Node]:
    """Each source's syntax tree, by its path in the project."""
    paths = sorted(path.relative_to(COPY).as_posix() for path in (COPY / "contracts").rglob("*.sol"))
    job = {
        "language": "Solidity",
        "sources": {path: {"content": (COPY / path).read_text(encoding="utf-8")} for path in paths},
        "settings": {"stopAfter": "parsing", "outputSelection": {"*": {"": ["ast"]}}},
    }
    command = [BIN / "solc", "--standard-json"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    flaws = [e["formattedMessage"] for e in answer.get("errors", []) if e["severity"] == "error"]
    if flaws or "sources" not in answer:
        raise CoverageError(f"the contracts don't compile: {' '.join(flaws) or done.stderr}")
    return {path: answer["sources"][path]["ast"] for path in paths}


# ------------------------------------------------------------------------------------------------ the run


def run_tests(tests: Iterable[str]) -> bool:
    """Compiles the copy and runs these tests in it; gives whether they passed."""
    if subprocess.run(
        [BIN / "ape", "compile", "--force"], cwd=COPY, env=environment(), check=False
    ).returncode:
        raise CoverageError("the contracts with probes don't compile; the compiler's words are above.")
    ignored = [f"--deselect={path}" for path in LEFT_OUT]
    command = [BIN / "python", "-m", "pytest", "-q", "-p", "tools.probe_hits", *ignored, *tests]
    return subprocess.run(command, cwd=COPY, env=environment(), check=False).returncode == 0


def environment() -> dict[str, str]:
    """The chain and the sources of the copy go before those of the project."""
    path = [COPY / "bin", VENV / "ape", BIN, os.environ.get("PATH", os.defpath)]
    return os.environ | {
        "PATH": os.pathsep.join(map(str, path)),
        "PYTHONPATH": str(COPY / "offchain"),
        "CLEARWATT_PROBE_HITS": str(HITS),
    }


def read_hits() -> set[int]:
    if not HITS.exists():
        raise CoverageError("the tests did not run to their end.")
    found = json.loads(HITS.read_text(encoding="utf-8"))
    for flaw, times in found["untraced"].items():
        print(f"coverage: {times} not traced: {flaw}", file=sys.stderr)
    return set(found["hits"])


# ------------------------------------------------------------------------------------------------ the report


def report(probes: list[Probe], hits: set[int]) -> float:
    """Prints a line per source and the total; gives the lower of the two percentages of the total."""
    paths = sorted({probe.path for probe in probes})
    width = max(map(len, paths)) - len("contracts/")
    print(f"\n{'':{width}}  {'statements':>16}  {'branches':>16}  missed lines")
    for path in paths:
        of_path = [(number, probe) for number, probe in enumerate(probes) if probe.path == path]
        missed = [probe for number, probe in of_path if number not in hits]
        name = path.removeprefix("contracts/")
        print(f"{name:{width}}  {figures(of_path, hits)}  {missed_lines(missed)}".rstrip())
    everything = list(enumerate(probes))
    print(f"{'total':{width}}  {figures(everything, hits)}")
    return min(percentage(everything, hits, branches) for branches in (False, True))


def figures(probes: list[tuple[int, Probe]], hits: set[int]) -> str:
    columns = []
    for branches in (False, True):
        reached, all_of_them = count(probes, hits, branches)
        columns.append(f"{reached:4}/{all_of_them:<4} {percentage(probes, hits, branches):5.1f}%")
    return "  ".join(f"{column:>16}" for column in columns)


def percentage(probes: list[tuple[int, Probe]], hits: set[int], branches: bool) -> float:
    reached, all_of_them = count(probes, hits, branches)
    return 100 * reached / all_of_them if all_of_them else 100


def count(probes: list[tuple[int, Probe]], hits: set[int], branches: bool) -> tuple[int, int]:
    """How many were reached, and of how many."""
    numbers = {number for number, probe in probes if (probe.side is not None) == branches}
    return len(numbers & hits), len(numbers)


def missed_lines(missed: list[Probe]) -> str:
    """Where statements were missed, and where a branch was reached but a way never taken."""
    lines = {probe.line for probe in missed if probe.side is None}
    ways = {
        (probe.line, f"{probe.line} {probe.side}")
        for probe in missed
        if probe.side and probe.line not in lines
    }
    return ", ".join(mark for _, mark in sorted([*ranges(lines), *ways]))


def ranges(lines: Iterable[int]) -> list[tuple[int, str]]:
    """Lines that follow each other as one mark, after its first line."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return [(run[0], f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}") for run in runs]


if __name__ == "__main__":
    sys.exit(main())
