"""`clearwatt oracle` as a person meets it who made a mistake: one sentence, exit code 2, the key never shown."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clearwatt.chain.deployment import CONTRACTS, Deployed, Deployment, write_deployment
from clearwatt.cli import main
from clearwatt.oracle.cli import load_key

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
NOBODY = "http://127.0.0.1:9"
COMMANDS = ("run", "status")


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    contracts = {
        name: Deployed(f"0x{number:040x}", (), "0x00", 1, [])
        for number, name in enumerate(CONTRACTS, start=1)
    }
    path = tmp_path / "deployment.json"
    write_deployment(Deployment("test", 31_337, {}, "", contracts), path)
    return path


def oracle(command: str, deployment: Path, *options: str, rpc: str = NOBODY, **environment: Any) -> Result:
    statements = f"sqlite:///{deployment.parent / 'statements.db'}"
    arguments = ["oracle", command, "--rpc", rpc, "--deployment", str(deployment), "--database", statements]
    unset = {"CLEARWATT_ORACLE_KEY": None, "CLEARWATT_ORACLE_KEY_FILE": None}
    return CliRunner().invoke(main, [*arguments, *options], env=unset | environment)


def assert_refused(outcome: Result, sentence: str) -> None:
    assert outcome.exit_code == 2
    assert outcome.output.startswith("Error: ")
    assert sentence in outcome.output
    assert len(outcome.output.splitlines()) == 1
    assert KEY[2:] not in outcome.output


def test_help__each_command__says_what_it_does():
    shown = CliRunner().invoke(main, ["oracle", "--help"]).output
    assert "run" in shown
    assert "status" in shown
    assert "CLEARWATT_ORACLE_KEY_FILE" in shown
    for command in COMMANDS:
        shown = CliRunner().invoke(main, ["oracle", command, "--help"])
        assert (shown.exit_code, "--deployment" in shown.output) == (0, True)


def test_help__in_a_process_of_its_own__loads_neither_numpy_nor_web3():
    code = "import sys; from clearwatt.cli import main; main(['oracle', '--help'], standalone_mode=False); "
    code += "sys.exit(bool({'numpy', 'web3', 'sqlalchemy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


# ------------------------------------------------------------ node and deployment


@pytest.mark.parametrize("command", COMMANDS)
def test_oracle__dead_node__says_so(deployment, command):
    assert_refused(
        oracle(command, deployment), f"no Ethereum node answers at {NOBODY}: the connection failed"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_oracle__no_deployment__says_who_writes_it(tmp_path, command):
    assert_refused(
        oracle(command, tmp_path / "none.json"), "none.json: no such deployment; `ape run deploy` writes it"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_oracle__no_option_at_all__asks_for_the_deployment(command):
    outcome = CliRunner().invoke(main, ["oracle", command], env={"CLEARWATT_DEPLOYMENT": None})
    assert outcome.exit_code == 2
    assert "--deployment" in outcome.output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{",
        "{}",
        '{"contracts": 5}',
        '{"contracts": {}}',
        '{"contracts": {"Market": {}}}',
        "\udcff",
    ],
)
def test_oracle__file_that_is_no_deployment__says_so(tmp_path, text):
    path = tmp_path / "deployment.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert_refused(oracle("status", path), f"{path} is not a deployment file: ")


@pytest.mark.parametrize("missing", [name for name in CONTRACTS if name != "TestEuro"])
def test_oracle__deployment_without_a_contract__names_it(deployment, missing):
    document = json.loads(deployment.read_text())
    del document["contracts"][missing]
    deployment.write_text(json.dumps(document))
    assert_refused(oracle("run", deployment), f"is not a whole deployment: {missing} is missing")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("address", "0x12"),
        ("address", None),
        ("block", "1"),
        ("block", -1),
        ("abi", None),
        ("abi", [5]),
        ("abi", [{}]),
    ],
)
def test_oracle__contract_entry_damaged__names_it(deployment, key, value):
    document = json.loads(deployment.read_text())
    document["contracts"]["Vault"][key] = value
    deployment.write_text(json.dumps(document))
    assert_refused(oracle("run", deployment), f"{deployment} is not a deployment file: ")


def test_oracle__another_chain__names_both(deployment, anvil_url):
    document = json.loads(deployment.read_text()) | {"chain_id": 5}
    deployment.write_text(json.dumps(document))
    outcome = oracle("status", deployment, rpc=anvil_url)
    assert_refused(outcome, f"the node at {anvil_url} is on chain 31337, the deployment is on chain 5")


@pytest.mark.parametrize("command", COMMANDS)
def test_oracle__no_code_at_the_address__says_where(deployment, anvil_url, command):
    outcome = oracle(command, deployment, rpc=anvil_url)
    assert outcome.exit_code == 2
    address = json.loads(deployment.read_text())["contracts"]["Registry"]["address"]
    assert f"Error: there is no contract at {address}, where Registry should be" in outcome.output


# ------------------------------------------------------------ the key


@pytest.mark.parametrize(
    "key", ["0x12", "secret", KEY[:-1], KEY + "00", "0x" + "0" * 64, "0x" + "f" * 64, "  "]
)
def test_run__bad_key__never_shown(deployment, key):
    outcome = oracle("run", deployment, CLEARWATT_ORACLE_KEY=key)
    assert_refused(outcome, "CLEARWATT_ORACLE_KEY holds no private key (0x and 64 hex digits)")
    assert key.strip() == "" or key not in outcome.output


@pytest.mark.parametrize("content", [b"", b"0x12", b"\xff\xfe", KEY[:-1].encode()])
def test_run__key_file_without_a_key__never_shown(deployment, tmp_path, content):
    path = tmp_path / "oracle.key"
    path.write_bytes(content)
    assert_refused(
        oracle("run", deployment, CLEARWATT_ORACLE_KEY_FILE=str(path)), "CLEARWATT_ORACLE_KEY_FILE"
    )


def test_run__key_file_missing_or_a_folder__says_so(deployment, tmp_path):
    missing = oracle("run", deployment, CLEARWATT_ORACLE_KEY_FILE=str(tmp_path / "none"))
    assert_refused(missing, f"CLEARWATT_ORACLE_KEY_FILE: {tmp_path / 'none'}: No such file or directory")
    assert_refused(oracle("run", deployment, CLEARWATT_ORACLE_KEY_FILE=str(tmp_path)), "Is a directory")


def test_run__both_key_variables__refused(deployment):
    outcome = oracle("run", deployment, CLEARWATT_ORACLE_KEY=KEY, CLEARWATT_ORACLE_KEY_FILE="/nowhere")
    assert_refused(outcome, "set CLEARWATT_ORACLE_KEY or CLEARWATT_ORACLE_KEY_FILE, not both")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_load_key__good_key_in_a_file__it(tmp_path, monkeypatch, ending):
    path = tmp_path / "oracle.key"
    path.write_bytes((KEY + ending).encode())
    monkeypatch.delenv("CLEARWATT_ORACLE_KEY", raising=False)
    monkeypatch.setenv("CLEARWATT_ORACLE_KEY_FILE", str(path))
    key = load_key()
    assert key is not None
    assert key.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


# ------------------------------------------------------------ other options


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--poll", "-1", "--poll -1 is not between 0 and 3600 seconds"),
        ("--poll", "nan", "--poll nan is not between"),
        ("--poll", "inf", "--poll inf is not between"),
        ("--batch", "0", "--batch 0: a transaction settles at least 1 member"),
        ("--depth", "-1", "--depth -1 is not between 0 and 1000 blocks"),
        ("--cycle-timeout", "0", "--cycle-timeout 0: a cycle takes more than 0 seconds"),
        ("--turn", "-1", "--turn -1 is less than 0 seconds"),
        ("--max-fee-gwei", "-2", "--max-fee-gwei -2 is less than 0"),
    ],
)
def test_run__impossible_number__says_which(deployment, option, value, sentence):
    assert_refused(oracle("run", deployment, option, value), sentence)


def test_run__poll_that_is_no_number__refused(deployment):
    outcome = oracle("run", deployment, "--poll", "often")
    assert outcome.exit_code == 2
    assert "'often' is not a valid float" in outcome.output
