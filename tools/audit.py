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
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
SLITHER = ROOT / ".venv-audit" / "bin" / "slither"

EXCEPTED = {
    "assembly": "packed calldata and memory are read by assembly blocks of one to three lines; the tests cover them",
    "timestamp": "the calendar is the market: gates and deadlines are minutes apart, a block's time is seconds off",
    "uninitialized-local": "a local variable starts at zero by the language; storage pointers are another detector's",
}
NOT_ANALYSED = "ERROR:"  # Slither's exit code says nothing about it
EXCEPTS_NOTHING = "unused-ignore-directive"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    if not SLITHER.exists():
        print("audit: Slither is not installed here; `make audit` does it.", file=sys.stderr)
        return 1
    flaws = run_slither()
    print("\n\n".join(flaws) or "audit: nothing found")
    print("audit: excepted everywhere: " + ", ".join(EXCEPTED), file=sys.stderr)
    return 1 if flaws else 0


def run_slither() -> list[str]:
    """What is wrong with the contracts as forge compiles them, in Slither's words."""
    with tempfile.TemporaryDirectory() as folder:
        findings = Path(folder) / "findings.json"
        command = [SLITHER, ".", "--exclude", ",".join(EXCEPTED), "--warn-unused-ignores", "--json", findings]
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = os.environ | {"PATH": path}
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
        output = done.stdout + done.stderr
        if not findings.exists():
            return [f"Slither did not come to an end:\n{output}"]
        document = json.loads(findings.read_text())
    unread = [line for line in output.splitlines() if NOT_ANALYSED in line]
    if not document["success"]:
        unread.append(f"Slither failed: {document['error']}")
    return unread + [flaw for found in document["results"].get("detectors", []) if (flaw := flaw_of(found))]


def flaw_of(found: dict[str, Any]) -> str | None:
    """A finding in words; None if it is about exceptions in libraries, for parts of them that we don't use."""
    if found["check"] != EXCEPTS_NOTHING:
        return f"{found['check']}: {found['description']}"
    ours = [entry for entry in found["unused_ignores"] if "node_modules" not in entry["file"]]
    places = [f"{entry['file']}:{entry['line']} ({', '.join(entry['unused_detectors'])})" for entry in ours]
    return f"{EXCEPTS_NOTHING}: {', '.join(places)}" if ours else None


if __name__ == "__main__":
    sys.exit(main())
