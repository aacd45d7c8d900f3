"""The oracle's cycle on a chain whose newest blocks may go again, with nodes that hang and gas that costs too much."""

import json
import logging
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from clearwatt.chain.fees import FeeLimits
from clearwatt.metering.messages import statement_message
from clearwatt.oracle.engine import Engine
from clearwatt.oracle.service import OracleService
from clearwatt.oracle.settings import Connections, Settings
from clearwatt.storage.sealing import Keyring
from tests import nodes
from tests.integration.cable import Cable
from tests.integration.street import BIDS, CHAIN_ID, ORACLE, Street

DEPTH = 2


def service(street: Street, url: str = "", depth: int = 0, **settings: Any) -> OracleService:
    connections = Connections((url or street.url,), street.deployment_file, street.database, depth)
    return OracleService(connections, Settings(**settings), ORACLE, Keyring.plain())


def ask(street: Street, method: str, *arguments: object) -> None:
    answer = street.client.web3.provider.make_request(method, list(arguments))  # type: ignore[arg-type]
    assert "error" not in answer, answer


def mine(street: Street, blocks: int = DEPTH) -> None:
    for _ in range(blocks):
        ask(street, "evm_mine")


@pytest.fixture
def closed(street: Street) -> Street:
    """The gate of auction 0 is closed on its bids."""
    street.bid(0)
    street.close_gate(0)
    return street


# ------------------------------------------------------------ below the newest block


def test_cycle__with_a_depth__acts_when_the_blocks_are_deep_enough_and_once(closed: Street) -> None:
    engine = service(closed, depth=DEPTH).engine
    assert not engine.cycle()
    mine(closed)
    assert engine.cycle()
    assert closed.cleared(0)
    # as of the pinned block it is still to be cleared
    assert [type(decision.action).__name__ for decision in engine.decisions()] == ["Clear"]
    assert not engine.cycle()
    assert len(closed.events("Cleared")) == 1


def test_cycle__what_was_done_is_undone_by_the_chain__done_again(closed: Street) -> None:
    engine = service(closed, depth=DEPTH).engine
    mine(closed)
    assert engine.cycle()
    ask(closed, "anvil_reorg", DEPTH, [])
    mine(closed)
    assert not closed.cleared(0)
    assert engine.cycle()
    assert closed.cleared(0)


# ------------------------------------------------------------ transactions


@pytest.fixture
def unmined(street: Street) -> Iterator[Street]:
    """Auctions 0 and 1 are void, and blocks come by the second, not by transaction."""
    street.bid(0, 1)
    street.clock.travel(street.schedule.clearing_deadline(1))
    ask(street, "evm_setAutomine", False)
    ask(street, "evm_setIntervalMining", 1)
    yield street
    ask(street, "evm_setIntervalMining", 0)
    ask(street, "evm_setAutomine", True)


def test_cycle__two_auctions__sent_together_and_included_in_one_block(unmined: Street) -> None:
    assert service(unmined).engine.cycle()
    released = unmined.client.market.events.BidReleased.get_logs(from_block=unmined.deployment.first_block)
    assert {event["args"]["auction"] for event in released} == {0, 1}
    assert len({event["blockNumber"] for event in released}) == 1
    assert len({event["transactionHash"] for event in released}) == 2


def test_cycle__gas_above_the_cap__waited_and_nothing_is_set_back(
    closed: Street, caplog: pytest.LogCaptureFixture
) -> None:
    engine = service(closed, limits=FeeLimits(max_fee=10**9)).engine
    ask(closed, "anvil_setNextBlockBaseFeePerGas", hex(10**10))
    mine(closed, 1)
    assert not engine.cycle()
    assert "the base fee of 10 gwei is above the cap of 1 gwei: waiting" in caplog.text
    ask(closed, "anvil_setNextBlockBaseFeePerGas", hex(10**8))
    mine(closed, 1)
    assert engine.cycle()
    assert closed.cleared(0)


def test_cycle__dry_run__says_what_it_would_send_and_sends_nothing(
    closed: Street, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = closed.client.view().reference.number
    assert not service(closed, dry_run=True).engine.cycle()
    assert "auction 0: would send Clear: " in caplog.text
    assert closed.client.view().reference.number == before


# ------------------------------------------------------------ cycles that fail


def test_run__cycle_that_hangs__given_up_and_the_next_one_works(
    closed: Street, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = service(closed, cycle_seconds=0.3).engine
    started = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "cycle", lambda self: time.sleep(20))
        assert engine._guarded_cycle(0.0) == 1.0
    assert time.monotonic() - started < 2
    assert "the cycle took longer than 0.3 s and was given up" in caplog.text
    time.sleep(0.4)  # no timer is left over
    patient = service(closed).engine
    assert patient._guarded_cycle(1.0) == 0.0
    assert closed.cleared(0)


def test_run__node_away_for_long__breaker_opens_and_closes_after_a_good_cycle(
    street: Street, caplog: pytest.LogCaptureFixture
) -> None:
    cable = Cable(street.url)
    oracle = service(street, url=cable.url, breaker_failures=3, breaker_seconds=77.0)
    oracle.engine._guarded_cycle(0.0)
    assert oracle.health.obstacles() == {}
    cable.cut()
    pause, pauses = 0.0, []
    for _ in range(4):
        pauses.append(pause := oracle.engine._guarded_cycle(pause))
    assert pauses == [1.0, 2.0, 77.0, 77.0]
    assert oracle.health.obstacles()["breaker"].startswith("the circuit breaker is open: the node does not")
    cable.mend()
    assert oracle.engine._guarded_cycle(pause) == 12.0
    assert oracle.health.obstacles() == {}
    cable.cut()


# ------------------------------------------------------------ over HTTP


def post(url: str, body: object) -> int:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return int(answer.status)


def test_run__statements_by_http__stored_and_settled_on(street: Street) -> None:
    port = nodes.free_port()
    url = f"http://{nodes.HOST}:{port}"
    street.bid(0)
    street.close_gate(0)
    with street.oracle("--listen", f"{nodes.HOST}:{port}") as oracle:
        street.wait_for(lambda: street.cleared(0), oracle)
        street.end_delivery(0)
        for name in BIDS:
            message = statement_message(CHAIN_ID, street.client.settlement.address, street.statement(name, 0))
            body = {"payload": message.payload.decode(), "signature": "0x" + message.signature.hex()}
            assert post(f"{url}/v1/statements", body) == 202
            assert post(f"{url}/v1/statements", body) == 200
        street.pass_dispute_window(0, oracles=[oracle])
        street.wait_for(lambda: street.settled(0), oracle)
        with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
            assert json.load(answer) == {"ok": True, "obstacles": {}}
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            shown = answer.read().decode()
        assert 'clearwatt_transactions_total{action="Settle",outcome="included"} 1.0' in shown
        assert "clearwatt_signer_in_office 1.0" in shown
        assert oracle.stop() == 0
