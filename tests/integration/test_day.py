"""A whole simulated day: the oracle killed in the middle of it, every bill recomputed, and the script people run."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ape
import numpy as np
import pytest

from clearwatt.chain.deployment import MarketDeployer
from clearwatt.chain.node import NodeError
from clearwatt.community.indicators import costs, recheck
from clearwatt.community.outcome import DayOutcome
from clearwatt.community.rehearsal import rehearse
from clearwatt.community.report import write_report
from clearwatt.community.scenario import load_community, parse_day
from clearwatt.community.simulation import Hook, Options, Simulation, market_config
from clearwatt.community.tariff import Tariff
from clearwatt.errors import UserError
from clearwatt.oracle.process import OracleProcess
from scripts import simulate as script
from tests import nodes
from tests.contracts.remote import RemoteChain, anvil_time
from tests.integration.cable import Cable
from tests.integration.street import CHAIN_ID, OWNER

ROOT = Path(__file__).parents[2]
APE = Path(sys.executable).with_name("ape")
SLOTS_PER_AUCTION = 12
AUCTIONS = 96 // SLOTS_PER_AUCTION
DAY = parse_day("2016-06-21")
SEED = 11
"""Chooses eight members, one with panels, one with a battery, and one with a car that comes that day."""
Play = Callable[..., DayOutcome]


@pytest.fixture
def play(tmp_path: Path, project: Any, accounts: Any) -> Any:
    """Deploys a market on a chain of its own and plays a summer's day of a few members."""

    def play_day(
        before_auction: Hook,
        members: int = 8,
        slots: int = SLOTS_PER_AUCTION,
        cable: list[Cable] | None = None,
    ) -> DayOutcome:
        community = load_community(members, SEED)
        options = Options(DAY, slots, SEED, Tariff.parse(), tmp_path, 0.05, 3_000.0)
        with nodes.anvil(args=("--chain-id", str(CHAIN_ID))) as url:
            with ape.networks.parse_network_choice("ethereum:devnet:node", provider_settings={"uri": url}):
                now = RemoteChain(url, anvil_time).pending_timestamp
                config = market_config(community, options, OWNER.address, now)
                deployment = MarketDeployer(project, accounts[0]).deploy(config, "test", CHAIN_ID)
            if cable is not None:
                cable.append(Cable(url))
                url = cable[0].url
            return Simulation(community, options, url, deployment, OWNER).run(
                lambda done, text: None, before_auction
            )

    return play_day


# ------------------------------------------------------------ the day


def test_day__oracle_killed_in_the_middle_and_started_again__everybody_billed_right(
    play: Play, tmp_path: Path
) -> None:
    killed = []

    def kill_once(auction: int, oracle: OracleProcess) -> None:
        if auction == AUCTIONS // 2:
            oracle.kill()
            oracle.start()
            killed.append(auction)

    outcome = play(kill_once)
    assert killed == [AUCTIONS // 2]
    assert [check.name for check in outcome.checks if not check.ok] == []
    assert len(outcome.checks) >= 8
    assert len(outcome.members) == 8
    bills = {member.address: bill(outcome, member.address, member.zone) for member in outcome.members}
    assert {address: outcome.settled_money[address] for address in bills} == bills
    assert sum(outcome.settled_money.values()) + outcome.network_income == 0
    assert any(bill > 0 for bill in bills.values())
    assert any(bill < 0 for bill in bills.values())
    assert 0 < sum(outcome.tokens_retired.values()) <= sum(outcome.tokens_issued.values())
    schedule_is_what_was_settled(outcome)
    same_as_without_a_chain(outcome)
    log = (tmp_path / "oracle.log").read_text()
    assert log.count("signing as") == 2
    assert "Traceback" not in log

    write_report(outcome, tmp_path / "report.html")
    assert "</html>" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "figures.json").read_text())


def schedule_is_what_was_settled(outcome: DayOutcome) -> None:
    """Battery and car were busy, and planned, contracted and delivered the same to the Wh, checks of them included."""
    busy = {device.kind: device for device in outcome.devices if device.delivered.any()}
    assert set(busy) == {"battery", "car"}
    assert int(np.abs(busy["battery"].delivered).sum()) > 10_000
    for device in busy.values():
        assert (device.contracted == device.planned).all()
        assert (device.delivered == device.contracted).all()
    assert [check for check in recheck(outcome) if not check.ok] == []


def same_as_without_a_chain(outcome: DayOutcome) -> None:
    """The chain settles to the same money as the rehearsal, but for whole Wh that go by members' addresses."""
    played = rehearse(load_community(8, SEED), DAY, Tariff.parse(), SLOTS_PER_AUCTION)
    settled = [outcome.settled_money[member.address] for member in outcome.members]
    assert sum(settled) == pytest.approx(int(played.money.sum()), rel=1e-4)
    cost = costs(outcome)
    assert cost.flexible == -sum(settled) < cost.unmanaged < cost.retail


def bill(outcome: DayOutcome, member: str, zone: int) -> int:
    """What the day is worth to a member, by the rules of the protocol's section 6 and nothing else."""
    position = outcome.positions[member].astype(object)
    deviation = outcome.readings[member].astype(object) - position
    surplus, shortage = outcome.surplus[zone].astype(object), outcome.shortage[zone].astype(object)
    imbalance = np.where(deviation > 0, surplus, shortage) * deviation
    return int((position * outcome.prices[zone].astype(object) + imbalance).sum())


def test_day__oracle_dies__told_at_once_with_the_end_of_its_log(play: Play) -> None:
    def strike(auction: int, oracle: OracleProcess) -> None:
        assert oracle._process
        os.kill(oracle._process.pid, signal.SIGKILL)

    with pytest.raises(UserError, match=r"^the oracle stopped \(exit code -9\):"):
        play(strike, members=2, slots=48)


def test_day__node_dies__told_in_one_sentence(play: Play) -> None:
    cable: list[Cable] = []
    with pytest.raises(NodeError) as caught:
        play(lambda auction, oracle: cable[0].cut() if auction else None, members=2, slots=48, cable=cable)
    assert str(caught.value) == "the node does not answer: the connection failed"


def test_day__something_in_the_way_of_its_files__told(play: Play, tmp_path: Path) -> None:
    (tmp_path / "oracle.db").mkdir()
    with pytest.raises(UserError, match=r"oracle\.db: Is a directory"):
        play(lambda auction, oracle: None, members=2, slots=48)


# ------------------------------------------------------------ the script


def ape_run_simulate(*options: str) -> subprocess.CompletedProcess[str]:
    command = [str(APE), "run", "simulate", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_script__small_day__report_figures_and_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = ape_run_simulate("--members", "6", "--slots-per-auction", "24", "-o", str(folder))
    assert done.returncode == 0, done.stderr
    assert "6 members, 8 zones, 4 auctions" in done.stdout
    assert "auction 4: settled" in done.stdout
    assert {"report.html", "figures.json", "oracle.log"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.part"))
    assert len(json.loads((folder / "figures.json").read_text())) > 3


def test_script__network_that_is_not_there__one_sentence_and_nothing_written(tmp_path: Path) -> None:
    network = f"ethereum:devnet:http://{nodes.HOST}:{nodes.free_port()}"
    done = ape_run_simulate("--network", network, "-o", str(tmp_path / "out"))
    assert done.returncode != 0
    assert re.fullmatch(r"Error: No \(supported\) node found on '.*'\.\n", done.stderr)
    assert not (tmp_path / "out").exists()


def test_script__year_without_data__one_sentence_and_nothing_written(tmp_path: Path) -> None:
    done = ape_run_simulate("--day", "2017-01-01", "-o", str(tmp_path / "out"))
    assert done.returncode != 0
    assert "Error: the data hold the year 2016 only" in done.stderr
    assert not (tmp_path / "out").exists()


RIGHT: dict[str, Any] = {
    "day": "2016-06-21",
    "members": 2,
    "slots_per_auction": 4,
    "seed": 1,
    "import_price": "0.30",
    "export_price": "0.08",
    "prices": None,
    "line_limit": 100,
    "line_fee": 0.0,
    "gas_price": 0.05,
    "ether_price": 3_000.0,
}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"day": "yesterday"}, '"yesterday" is not a day; write it like 2016-06-21, or as a number'),
    ({"members": 0}, "the community can have 1 to 104 members, not 0"),
    ({"slots_per_auction": 7}, "7 slots per auction do not divide a day of 96"),
    ({"slots_per_auction": 0}, "0 slots per auction do not divide a day of 96"),
    ({"export_price": "0.40"}, "the tariff pays more for export than import costs at 00:00"),
    ({"import_price": "cheap"}, "cheap"),
    ({"prices": Path("/nowhere/prices.csv")}, "/nowhere/prices.csv can't be read"),
    ({"line_fee": float("nan")}, "--line-fee nan is not an amount from 0 up"),
    ({"line_fee": -0.01}, "--line-fee -0.01 is not an amount from 0 up"),
    ({"gas_price": float("inf")}, "--gas-price inf is not an amount from 0 up"),
    ({"ether_price": float("nan")}, "--ether-price nan is not an amount from 0 up"),
    ({"line_limit": -5}, "line limits of -5%"),
]


@pytest.mark.parametrize(("mistake", "sentence"), MISTAKES)
def test_script__mistake_in_an_option__one_sentence_and_nothing_written(
    tmp_path: Path, mistake: dict[str, Any], sentence: str
) -> None:
    options = RIGHT | {"output": tmp_path / "out"} | mistake
    with pytest.raises(UserError) as caught:
        script.cli.callback(**options)  # type: ignore[misc]
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
