"""Three oracles, each with its own database, of which two must agree: processes at a market on a real chain."""

from collections.abc import Sequence

import httpx
from eth_account.signers.local import LocalAccount

from clearwatt.chain.typed_data import Evidence
from clearwatt.community import participants
from clearwatt.metering.messages import statement_message
from clearwatt.oracle.process import OracleProcess, free_address
from tests.integration.street import BIDS, CHAIN_ID, ORACLE, SECOND_ORACLE, SEED, Street

THIRD_ORACLE = participants.test_key(SEED, "third oracle")
KEYS = sorted((ORACLE, SECOND_ORACLE, THIRD_ORACLE), key=lambda key: int(key.address, 16))


def two_of_three(street: Street) -> int:
    """The three take office. Returns an auction that takes bids then."""
    functions, office = street.client.quorum.functions, ([key.address for key in KEYS], 2)
    street.poster.give_ether([THIRD_ORACLE.address], 10**18)
    street.poster.send(functions.announceQuorum(*office))
    announced = street.client.view().reference.timestamp
    street.clock.travel(announced + functions.ownershipDelay().call())
    street.poster.send(functions.adoptQuorum(*office))
    passed = street.client.view().reference.timestamp - street.schedule.genesis
    return passed // (street.schedule.slots * street.schedule.slot_seconds) + 10


def started(street: Street, keys: Sequence[LocalAccount], addresses: Sequence[str]) -> list[OracleProcess]:
    found = []
    for number, key in enumerate(keys):
        peers = [f"http://{address}" for address in addresses if address != addresses[number]]
        options = ["--poll", "0.1", "--turn", "1", "--listen", addresses[number]]
        options += [text for peer in peers for text in ("--peer", peer)]
        database = f"sqlite:///{street.folder / f'{number}.db'}"
        log = street.folder / ("oracle.log" if number == 0 else f"oracle{number}.log")
        secret = key.key.to_0x_hex()
        oracle = OracleProcess(street.url, street.deployment_file, database, secret, log, options)
        oracle.start()
        found.append(oracle)
    return found


def send(street: Street, name: str, auction: int, address: str) -> None:
    """The meter's statement goes to this oracle only."""
    settlement = street.client.settlement.address
    message = statement_message(CHAIN_ID, settlement, street.statement(name, auction))
    body = {"payload": message.payload.decode(), "signature": "0x" + message.signature.hex()}
    answer = httpx.post(f"http://{address}/v1/statements", json=body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text


def test_run__two_of_three_up_and_each_meter_speaks_to_one__agreed_on_and_settled(street: Street) -> None:
    auction = two_of_three(street)
    street.bid(auction)
    street.close_gate(auction)
    addresses = [free_address() for _ in KEYS]
    oracles = started(street, KEYS[:2], addresses)
    try:
        for log in ("oracle.log", "oracle1.log"):
            street.wait_for_log("listening at", *oracles, name=log)
        street.wait_for(lambda: street.cleared(auction), *oracles)
        street.end_delivery(auction)
        for number, name in enumerate(BIDS):
            send(street, name, auction, addresses[number % 2])
        street.pass_dispute_window(auction, oracles=oracles)
        assert street.view(auction).by_quorum
        street.wait_for(lambda: street.with_tokens(auction), *oracles)
    finally:
        codes = [oracle.stop() for oracle in oracles]
    assert codes == [0, 0]
    evidence = [settled.evidence for settled in street.settlements(auction)]
    assert evidence == [Evidence.METER] * len(BIDS)
    logs = street.log() + street.log("oracle1.log")
    assert "Traceback" not in logs
    assert "ERROR" not in logs
    assert "messages taken over from" in logs
