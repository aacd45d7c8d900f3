"""Makes sure that what the tests start for themselves is on this machine: mosquitto, PostgreSQL, faketime.

`make test` calls it. What is missing comes from Debian by apt, if there are the rights for that; no service is
started or left enabled. `find` is how the tests find the programs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "faketime": "faketime",
    "initdb": "postgresql",
    "mosquitto": "mosquitto",
    "postgres": "postgresql",
}
"""Debian's package for each program. faketime gives a process a wrong clock."""

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin")
POSTGRESQL_FOLDERS = "/usr/lib/postgresql/*/bin"

INSTALL = """\
set -e
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then # packages ask it before they start a service: 101 says no
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
if command -v systemctl > /dev/null; then systemctl disable --quiet "$@" || true; fi
"""


class ServicesError(Exception):
    """A server is missing; the message says what the user can do about it."""


def main() -> int:
    try:
        install_missing()
    except ServicesError as error:
        print(f"services: {error}", file=sys.stderr)
        return 1
    return 0


def install_missing() -> None:
    """Install the packages of the programs that are not here. Raises ServicesError."""
    packages = missing_packages()
    if not packages:
        return
    print(f"services: installing {' and '.join(packages)} (Debian packages, for the tests)", flush=True)
    command = ["sh", "-c", INSTALL, "sh", *packages]
    if os.geteuid():
        command = ["sudo", "-n", *command]
    if not shutil.which("apt-get") or not shutil.which(command[0]):
        raise ServicesError(_by_hand(packages))
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode:
        raise ServicesError(_by_hand(packages))
    if still := missing_packages():
        raise ServicesError(_by_hand(still))


def missing_packages() -> list[str]:
    return sorted({package for program, package in PACKAGES.items() if find(program) is None})


def find(program: str) -> Path | None:
    """Where the machine has the program; Debian keeps servers off the PATH."""
    newest_first = sorted(Path("/").glob(POSTGRESQL_FOLDERS.lstrip("/")), key=_version, reverse=True)
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *SYSTEM_FOLDERS, *newest_first]
    found = shutil.which(program, path=os.pathsep.join(map(str, folders)))
    return Path(found) if found else None


def _version(folder: Path) -> int:
    digits = folder.parent.name
    return int(digits) if digits.isdigit() else 0


def _by_hand(packages: list[str]) -> str:
    return (
        f"the tests start servers of their own, and {' and '.join(packages)} cannot be installed from here: "
        f"install it yourself (on Debian and Ubuntu: apt-get install {' '.join(packages)})"
    )


if __name__ == "__main__":
    sys.exit(main())
