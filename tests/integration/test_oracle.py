"""The oracle as a process of its own, at a market on a real chain, with everything that can go wrong around it."""

import logging
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from eth_account.messages import encode_defunct

from clearwatt.chain.deployment import write_deployment
from clearwatt.chain.market import PRICES, AuctionView
from clearwatt.chain.node import NodeRefused
from clearwatt.chain.typed_data import Evidence
from clearwatt.cli import main
from clearwatt.metering.statements import Statement
from clearwatt.oracle.actions import Actions, Work
from clearwatt.oracle.engine import Engine
from clearwatt.oracle.service import OracleService
from clearwatt.oracle.settings import Connections, Settings
from clearwatt.storage.sealing import Keyring
from tests import nodes
from tests.integration.cable import Cable
from tests.integration.street import BIDS, CHAIN_ID, ORACLE, READINGS, SECOND_ORACLE, Street

START_SECONDS = 0.8
"""What an oracle takes until it acts, about."""

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def settlements(street: Street, auction: int = 0) -> dict[str, Evidence]:
    """On what evidence each member of the street was settled; each once at most."""
    settled = street.settlements(auction)
    assert len({one.member for one in settled}) == len(settled)
    names = {person.address: name for name, person in street.people.items()}
    return {names[one.member]: one.evidence for one in settled}


def assert_said_nothing_unforeseen(street: Street, name: str = "oracle.log") -> None:
    assert "Traceback" not in street.log(name)
    assert "ERROR" not in street.log(name)


# ------------------------------------------------------------ its work


def test_run__auctions_from_bids_to_tokens__all_done_and_ended_cleanly(street: Street) -> None:
    street.bid(0, 1)
    with street.oracle() as oracle:
        street.close_gate(0)
        street.wait_for(lambda: street.cleared(0), oracle)
        street.close_gate(1)
        street.wait_for(lambda: street.cleared(1), oracle)
        street.end_delivery(1)
        street.report(0, 1)
        street.pass_dispute_window(0, 1, oracles=[oracle])
        street.wait_for(lambda: street.with_tokens(0, 1), oracle)
        assert oracle.stop() == 0
    assert settlements(street, 0) == settlements(street, 1) == dict.fromkeys(BIDS, Evidence.METER)
    assert street.view(0).solver == ORACLE.address
    assert street.log().rstrip().endswith("stopped")
    [warning] = [line for line in street.log().splitlines() if "WARNING" in line]
    assert "stored in the clear" in warning
    assert_said_nothing_unforeseen(street)


def test_run__no_key__watches_only(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    with street.oracle(key=None) as oracle:
        street.wait_for_log("no key: watching only", oracle)
        time.sleep(1.5)
        assert oracle.stop() == 0
    assert not street.cleared(0)


def test_run__tokens_left_to_their_owners__settles_and_draws_none(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    with street.oracle("--no-draw-tokens") as oracle:
        street.wait_for(lambda: street.cleared(0), oracle)
        street.end_delivery(0)
        street.report(0)
        street.pass_dispute_window(0, oracles=[oracle])
        street.wait_for(lambda: street.settled(0), oracle)
        time.sleep(0.5)
    assert street.events("TokensDrawn") == []


def test_run__void_auction__locks_released(street: Street) -> None:
    street.bid(0)
    locked = street.client.vault.functions.accountOf(street.address("consumer"))
    assert locked.call()[1] > 0
    street.clock.travel(street.schedule.clearing_deadline(0))
    with street.oracle() as oracle:
        street.wait_for(lambda: len(street.view(0).released) == len(BIDS), oracle)
    assert locked.call()[1] == 0
    assert_said_nothing_unforeseen(street)


def test_run__silent_meter__the_others_are_settled_without_it_and_it_is_deemed_in_the_end(
    street: Street,
) -> None:
    street.bid(0)
    street.close_gate(0)
    with street.oracle() as oracle:
        street.wait_for(lambda: street.cleared(0), oracle)
        street.end_delivery(0)
        street.report(0, silent=["producer"])
        time.sleep(0.5)
        assert street.view(0).imbalance is None
        street.clock.travel(street.schedule.metering_deadline(0))
        street.pass_dispute_window(0, oracles=[oracle])
        street.wait_for(lambda: len(street.view(0).settled) == 2, oracle)
        assert street.view(0).unsettled == [street.address("producer")]
        street.clock.travel(street.schedule.deemed_from(0) - 1)
        time.sleep(0.5)
        assert street.view(0).unsettled == [street.address("producer")]
        street.clock.travel(street.schedule.deemed_from(0))
        street.wait_for(lambda: street.settled(0), oracle)
    meter = Evidence.METER
    assert settlements(street) == {"retailer": meter, "consumer": meter, "producer": Evidence.DEEMED}


def test_run__nothing_heard_of_anybody__fallback_prices_and_all_deemed(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    with street.oracle() as oracle:
        street.wait_for(lambda: street.cleared(0), oracle)
        oracle.kill()
        street.clock.travel(street.schedule.substitute_deadline(0))
        oracle.start()
        street.wait_for(lambda: street.view(0).imbalance is not None, oracle)
        street.clock.travel(street.schedule.deemed_from(0))
        street.wait_for(lambda: street.settled(0), oracle)
    assert settlements(street) == dict.fromkeys(BIDS, Evidence.DEEMED)
    [posted] = street.client.settlement.events.ImbalancePricesPosted.get_logs(from_block=0)
    assert not posted["args"]["byQuorum"]


# ------------------------------------------------------------ what is in the database


def twin(signature: bytes) -> bytes:
    """The other signature of the same key over the same message, which the contracts do not take."""
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])


def test_run__false_and_malformed_statements__passed_over_for_the_genuine_one(street: Street) -> None:
    genuine = street.statement("producer", 0)
    member = genuine.member
    consumers = street.people["consumer"].meter
    false = [
        Statement(0, member, genuine.readings, b"\0" * 65),  # sorts before any other
        Statement(0, member, genuine.readings, b""),
        Statement(0, member, genuine.readings[:-1], b"\1" * 65),
        Statement(0, member, b"", b"\2" * 65),
        Statement(0, member, genuine.readings, twin(genuine.signature)),
        Statement(0, "somebody", b"\xff", b"\xff"),
        Statement(
            0,
            member,
            genuine.readings,
            bytes(consumers.sign_message(encode_defunct(text="no statement")).signature),
        ),
    ]
    street.store.add(false)
    street.store.add([genuine])
    street.report(0, silent=["producer"])
    street.bid(0)
    street.close_gate(0)
    with street.oracle() as oracle:
        street.wait_for(lambda: street.cleared(0), oracle)
        street.end_delivery(0)
        street.pass_dispute_window(0, oracles=[oracle])
        street.wait_for(lambda: street.settled(0), oracle)
    assert settlements(street)["producer"] is Evidence.METER
    assert street.view(0).settled[member].readings == READINGS["producer"]
    assert "refused" not in street.log()
    assert_said_nothing_unforeseen(street)


def test_run__false_statement_only__waited_for_the_genuine_one_and_told_once(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    street.report(0, silent=["producer"])
    genuine = street.statement("producer", 0)
    street.store.add([Statement(0, genuine.member, genuine.readings, twin(genuine.signature))])
    with street.oracle() as oracle:
        street.wait_for(lambda: street.cleared(0), oracle)
        street.end_delivery(0)
        street.wait_for_log("in a form that the chain does not take", oracle)
        time.sleep(0.5)
        assert street.view(0).imbalance is None
        street.store.add([genuine])
        street.pass_dispute_window(0, oracles=[oracle])
        street.wait_for(lambda: street.settled(0), oracle)
    assert street.log().count("in a form that the chain does not take") == 1


# ------------------------------------------------------------ stops and starts


def test_run__node_goes_away_and_comes_back__waited_for_and_the_work_finished(street: Street) -> None:
    cable = Cable(street.url)
    street.bid(0)
    with street.oracle(url=cable.url) as oracle:
        street.wait_for_log("watching the market", oracle)
        cable.cut()
        street.wait_for_log("the node does not answer: the connection failed; next try in", oracle)
        street.close_gate(0)
        cable.mend()
        street.wait_for(lambda: street.cleared(0), oracle)
        street.end_delivery(0)
        street.report(0)
        street.pass_dispute_window(0, oracles=[oracle])
        street.wait_for(lambda: street.with_tokens(0), oracle)
        assert oracle.stop() == 0
    cable.cut()
    assert_said_nothing_unforeseen(street)


def test_run__terminated_while_the_node_is_away__ends_cleanly(street: Street) -> None:
    cable = Cable(street.url)
    with street.oracle(url=cable.url) as oracle:
        street.wait_for_log("watching the market", oracle)
        cable.cut()
        street.wait_for_log("next try in", oracle)
        started = time.monotonic()
        assert oracle.stop() == 0
        assert time.monotonic() - started < 5


def test_run__killed_at_any_moment__started_again_it_finishes_and_settles_nobody_twice(
    street: Street,
) -> None:
    moments = random.Random(1)
    street.bid(0, 1)
    oracle = street.oracle("--batch", "1")
    steps = [
        (lambda: street.close_gate(0), lambda: street.cleared(0)),
        (lambda: street.close_gate(1), lambda: street.cleared(1)),
        (lambda: (street.end_delivery(1), street.report(0, 1)), lambda: street.priced(0, 1)),
        (lambda: street.pass_dispute_window(0, 1), lambda: street.with_tokens(0, 1)),
    ]
    try:
        for happen, done in steps:
            happen()
            for _ in range(2):
                oracle.start()
                time.sleep(START_SECONDS + moments.uniform(0, 0.4))
                oracle.kill()
            oracle.start()
            street.wait_for(done, oracle)
            oracle.kill()
    finally:
        oracle.kill()
    assert len(settlements(street, 0)) == len(settlements(street, 1)) == len(BIDS)
    assert len(street.events("TokensDrawn")) == 4
    assert_said_nothing_unforeseen(street)


def test_run__two_oracles_at_once__each_thing_done_once(street: Street) -> None:
    street.bid(0, 1)
    street.close_gate(0)
    with street.oracle(log="a.log") as first, street.oracle(key=SECOND_ORACLE, log="b.log") as second:
        street.wait_for(lambda: street.cleared(0), first, second)
        street.close_gate(1)
        street.wait_for(lambda: street.cleared(1), first, second)
        street.end_delivery(1)
        street.report(0, 1)
        street.pass_dispute_window(0, 1, oracles=[first, second])
        street.wait_for(lambda: street.with_tokens(0, 1), first, second)
        assert (first.stop(), second.stop()) == (0, 0)
    assert len(street.events("Cleared")) == 2
    assert len(settlements(street, 0)) == len(settlements(street, 1)) == len(BIDS)
    assert len(street.events("TokensDrawn")) == 4
    for name in ("a.log", "b.log"):
        assert_said_nothing_unforeseen(street, name)


# ------------------------------------------------------------ one in the way of others


def inside(street: Street, **settings: Any) -> Engine:
    """An oracle in this process."""
    connections = Connections((street.url,), street.deployment_file, street.database, depth=0)
    return OracleService(connections, Settings(**settings), ORACLE, Keyring.plain()).engine


def until_idle(oracle: Engine) -> None:
    while oracle.cycle():
        pass


def test_cycle__a_member_whom_the_chain_refuses__the_rest_of_its_batch_is_settled(
    street: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    street.bid(0)
    street.close_gate(0)
    oracle = inside(street)
    until_idle(oracle)
    street.end_delivery(0)
    street.report(0, silent=["producer"])
    genuine = street.statement("producer", 0)
    street.store.add([Statement(0, genuine.member, genuine.readings, twin(genuine.signature))])
    monkeypatch.setattr("clearwatt.oracle.inputs.chain_takes", lambda signature: True)
    until_idle(oracle)
    street.pass_dispute_window(0)
    until_idle(oracle)
    assert settlements(street) == {"retailer": Evidence.METER, "consumer": Evidence.METER}
    assert f"{genuine.member} not settled: ECDSAInvalidSignatureS(s=0x" in caplog.text
    street.clock.travel(street.schedule.deemed_from(0))
    monkeypatch.undo()
    oracle._setbacks.clear()
    until_idle(oracle)
    assert settlements(street)["producer"] is Evidence.DEEMED


@pytest.mark.parametrize(
    "fault", [NodeRefused("the node answered: oversized data"), RuntimeError("a fault of ours")]
)
def test_cycle__an_auction_that_cannot_be_cleared__others_are_and_it_is_left_alone_for_longer_and_longer(
    street: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    tries = []

    def clearing(self: Actions, auction: AuctionView) -> Work:
        if auction.number == 0:
            tries.append(time.monotonic())
            raise fault
        return honest(self, auction)

    honest = Actions._clear
    monkeypatch.setattr(Actions, "_clear", clearing)
    street.bid(0, 1)
    street.close_gate(0)
    oracle = inside(street)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        oracle.cycle()
    assert len(tries) == 2
    assert "next try in 1 s" in caplog.text
    assert "next try in 2 s" in caplog.text
    street.close_gate(1)
    until_idle(oracle)
    assert street.cleared(1)
    assert not street.cleared(0)


def test_cycle__chain_changes_its_past__what_was_finished_is_done_again(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    oracle = inside(street)
    until_idle(oracle)
    street.end_delivery(0)
    street.report(0)
    until_idle(oracle)
    street.pass_dispute_window(0)
    chain = street.client.web3.provider
    before = chain.make_request("evm_snapshot", [])["result"]  # type: ignore[arg-type]
    until_idle(oracle)
    assert street.with_tokens(0)
    chain.make_request("evm_revert", [before])  # type: ignore[arg-type]
    assert not street.settled(0)
    until_idle(oracle)
    assert street.with_tokens(0)


# ------------------------------------------------------------ disputes


def test_cycle__imbalance_prices_overturned__not_posted_again_and_the_fallback_applies(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    street.bid(0)
    street.close_gate(0)
    oracle = inside(street)
    until_idle(oracle)
    street.end_delivery(0)
    street.report(0)
    until_idle(oracle)
    posted = street.view(0).imbalance
    street.dispute("consumer", 0)
    until_idle(oracle)
    assert settlements(street) == {}
    assert [decision.reason[:32] for decision in oracle.decisions()] == ["imbalance prices are disputed, t"]
    street.overturn(0)
    until_idle(oracle)
    assert street.view(0).overturned == {posted}
    assert street.view(0).imbalance is None
    assert "the imbalance prices that it would sign have fallen in a dispute" in caplog.text
    street.clock.travel(street.schedule.substitute_deadline(0))
    oracle._setbacks.clear()
    until_idle(oracle)
    assert not street.view(0).by_quorum
    assert settlements(street) == dict.fromkeys(BIDS, Evidence.METER)


def test_cycle__dispute_never_decided__settled_once_the_owner_s_time_is_over(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    oracle = inside(street)
    until_idle(oracle)
    street.end_delivery(0)
    street.report(0)
    until_idle(oracle)
    street.dispute("consumer", 0)
    until_idle(oracle)
    street.clock.travel(street.view(0).reports[PRICES].final_from - 1)
    until_idle(oracle)
    assert settlements(street) == {}
    street.clock.travel(street.view(0).reports[PRICES].final_from)
    until_idle(oracle)
    assert settlements(street) == dict.fromkeys(BIDS, Evidence.METER)


# ------------------------------------------------------------ what the quorum says of a silent meter


def test_cycle__substitute_reading_posted__settled_on_it_once_it_is_final(street: Street) -> None:
    street.bid(0)
    street.close_gate(0)
    oracle = inside(street)
    until_idle(oracle)
    street.clock.travel(street.schedule.metering_deadline(0))
    street.report(0, silent=["producer"])
    until_idle(oracle)
    street.pass_dispute_window(0)
    street.substitute("producer", 0)
    until_idle(oracle)
    assert street.view(0).unsettled == [street.address("producer")]
    street.clock.travel(street.view(0).reports[street.address("producer")].final_from)
    until_idle(oracle)
    assert settlements(street)["producer"] is Evidence.SUBSTITUTE
    assert street.view(0).settled[street.address("producer")].readings == READINGS["producer"]


# ------------------------------------------------------------ large auctions


def test_cycle__auction_beyond_one_transaction__cleared_in_chunks_and_settled(
    street: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("clearwatt.chain.capacity.Auctions.fit", lambda self, bids, steps: False)
    street.bid(0)
    street.close_gate(0)
    oracle = inside(street)
    until_idle(oracle)
    assert len(street.view(0).chunks) == 1
    assert street.view(0).unentered == []
    assert "positions of 1 chunks entered" in caplog.text
    street.end_delivery(0)
    street.report(0)
    until_idle(oracle)
    street.pass_dispute_window(0)
    until_idle(oracle)
    assert street.with_tokens(0)


# ------------------------------------------------------------ status


def status(street: Street, **environment: str) -> tuple[str, int]:
    options = [
        "--rpc",
        street.url,
        "--deployment",
        str(street.deployment_file),
        "--database",
        street.database,
        "--depth",
        "0",
    ]
    outcome = CliRunner().invoke(main, ["oracle", "status", *options], env=environment)
    return outcome.output, outcome.exit_code


def test_status__auctions_at_every_stage__what_and_why_and_nothing_changed(street: Street) -> None:
    assert status(street) == ("0 auctions under way, 0 finished\n", 0)
    street.bid(0, 1, 2)
    block = street.client.view().reference.number
    output, code = status(street, CLEARWATT_ORACLE_KEY=ORACLE.key.to_0x_hex())
    assert code == 0
    assert output.count("wait: 3 bids, the gate is open for ") == 3
    assert output.endswith("3 auctions under way, 0 finished\n")
    street.close_gate(0)
    output, _ = status(street)
    assert "auction 0: Clear: the gate is closed on 3 bids\n" in output
    street.clock.travel(street.schedule.clearing_deadline(0))
    output, _ = status(street)
    assert "auction 0: Release: void: not cleared in time, 3 locks to release\n" in output
    assert street.client.view().reference.number == block + 2
    until_idle(inside(street))
    assert status(street)[0].endswith("2 auctions under way, 1 finished\n")


# ------------------------------------------------------------ check


def check(street: Street, *options: str, **environment: str) -> tuple[dict[str, str], int]:
    """What is said of each subject, and the exit code."""
    arguments = ["--rpc", street.url, "--deployment", str(street.deployment_file), "--depth", "0", *options]
    outcome = CliRunner().invoke(
        main, ["oracle", "check", "--database", street.database, *arguments], env=environment
    )
    lines = [line.split(maxsplit=1) for line in outcome.output.splitlines()]
    subjects = {rest.partition(": ")[0].split(" ")[0]: f"{verdict} {rest}" for verdict, rest in lines}
    return subjects, outcome.exit_code


def test_check__signer_in_office__what_was_found_and_what_is_amiss(street: Street) -> None:
    found, code = check(street, CLEARWATT_ORACLE_KEY=ORACLE.key.to_0x_hex(), CLEARWATT_DATA_KEYS="ab" * 32)
    assert found["contracts"].startswith(
        f"ok contracts: the market at {street.client.market.address}, 1 of 2"
    )
    assert found["key"] == f"ok key: {ORACLE.address}, in office, 1 ether for fees"
    assert found["database"].startswith("ok ")
    assert found["encryption"].startswith("ok ")
    # this chain's time has jumped ahead of the clock
    assert "s ahead of this clock" in found["endpoint"]
    assert code == 1


def test_check__strangers_key_and_a_peer_that_is_away__both_told(street: Street) -> None:
    stranger = street.people["consumer"].key.key.to_0x_hex()
    found, code = check(street, "--peer", "http://127.0.0.1:9", CLEARWATT_ORACLE_KEY=stranger)
    assert found["key"].startswith("FAILED ")
    assert found["key"].endswith("is not a signer of the quorum in office")
    assert found["peer"].startswith("FAILED peer http://127.0.0.1:9: 127.0.0.1:9 does not answer")
    assert found["encryption"].startswith("FAILED ")
    assert code == 1


# ------------------------------------------------------------ what it cannot work with


def test_run__chain_started_anew__one_sentence(street: Street) -> None:
    with nodes.anvil(args=("--chain-id", str(CHAIN_ID))) as url:
        options = ["--rpc", url, "--deployment", str(street.deployment_file), "--database", street.database]
        for command in ("run", "status"):
            outcome = CliRunner().invoke(main, ["oracle", command, *options])
            assert outcome.exit_code == 2
            assert outcome.output.startswith("Error: there is no contract at 0x")
            assert "the chain was started anew" in outcome.output


def test_run__another_contract_at_the_address__one_sentence(street: Street) -> None:
    contracts = street.deployment.contracts
    wrong = replace(contracts["Registry"], address=contracts["TestEuro"].address)
    swapped = replace(street.deployment, contracts={**contracts, "Registry": wrong})
    write_deployment(swapped, street.deployment_file)
    output, code = status(street)
    assert code == 2
    assert output.startswith("Error: the market of ")
    assert len(output.splitlines()) == 1


def test_run__database_that_cannot_be_opened__one_sentence(street: Street) -> None:
    street.database = "sqlite:////nowhere/at/all.db"
    output, code = status(street)
    assert code == 2
    assert output == f"Error: the database {street.database}: unable to open database file\n"
