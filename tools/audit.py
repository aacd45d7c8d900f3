"""Puts the contracts to Slither, the static analyser; `make audit`.

Exits with 0 when there is nothing to say, with 1 when there is: a finding, a part of a contract that Slither could not
analyse, or an exception in the sources that excepts nothing any more.

A finding that is not a fault is argued where it stands, on the line before the code it is about:

    // Only our own contracts are called, each of them deployed with this one.
    // slither-disable-next-line calls-loop
    vault.settle(...);

Slither takes the first line of any of the code that a finding names: of the call, or of the function around it. What
is excepted everywhere is below, with the reason.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
SLITHER = ROOT / ".venv-audit" / "bin" / "slither"

EXCEPTED = {
    "assembly": "packed calldata and memory are read by assembly blocks of one to three lines; the tests cover them",
    "timestamp": "the calendar is the market: gates and deadlines are minutes apart, a block's time is seconds off",
    "uninitialized-local": "a local variable starts at zero by the language; storage pointers are another detector's",
}
# Slither's exit code says nothing about these two.
NOT_ANALYSED = "ERROR:"
EXCEPTS_NOTHING = "Unused slither-disable"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the findings there as well")
    arguments = parser.parse_args()
    if not SLITHER.exists():
        print("audit: Slither is not installed here; `make audit` does it.", file=sys.stderr)
        return 1
    code, lines = run_slither(arguments.json)
    print("\n".join(lines))
    if code == 0 and not any(flaw in line for line in lines for flaw in (NOT_ANALYSED, EXCEPTS_NOTHING)):
        print("audit: nothing found")
        return 0
    print("audit: see above. Excepted everywhere: " + ", ".join(EXCEPTED), file=sys.stderr)
    return 1


def run_slither(findings: Path | None) -> tuple[int, list[str]]:
    """Slither's exit code over the contracts as forge compiles them, and what it printed."""
    command = [SLITHER, ".", "--exclude", ",".join(EXCEPTED), "--warn-unused-ignores"]
    if findings:
        findings.unlink(missing_ok=True)  # Slither would refuse to overwrite it
        command += ["--json", findings.resolve()]
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    # The libraries carry exceptions of their own, for parts that we don't use.
    lines = done.stdout.splitlines()
    return done.returncode, [
        line for line in lines if EXCEPTS_NOTHING not in line or "node_modules" not in line
    ]


if __name__ == "__main__":
    sys.exit(main())
