"""Calls and transactions past Ape, which takes its time over every receipt."""

from typing import Any

import ape
from eth_abi import decode
from web3.exceptions import ContractLogicError

from tests.contracts.adversary.ledger import Entry
from tests.contracts.community import Community

GAS = 15_000_000


def _call(method: Any, *arguments: Any) -> dict[str, Any]:
    return {"to": method.contract.address, "data": "0x" + bytes(method.encode_input(*arguments)).hex()}


def send(method: Any, *arguments: Any, sender: Any) -> None:
    """Send a transaction that must succeed."""
    assert _sent(method, *arguments, sender=sender), f"{method} is refused"


def send_in_vain(method: Any, *arguments: Any, sender: Any) -> None:
    """Send a transaction that must fail, for the chain to be the same after it."""
    assert not _sent(method, *arguments, sender=sender), f"{method} is accepted"


def is_refused(method: Any, *arguments: Any, sender: Any) -> bool:
    """Whether a call fails, be it by an error of the contracts or by a panic of the language."""
    try:
        ape.chain.provider.web3.eth.call({"from": str(sender), **_call(method, *arguments)})
    except ContractLogicError:
        return True
    return False


def _sent(method: Any, *arguments: Any, sender: Any) -> bool:
    eth = ape.chain.provider.web3.eth
    call = {"from": str(sender), "gas": GAS, "gasPrice": 0, **_call(method, *arguments)}
    receipt = eth.wait_for_transaction_receipt(eth.send_transaction(call), poll_latency=0.002)
    return bool(receipt["status"])


def read_books(market: Community) -> tuple[dict[str, Entry], int, int]:
    """Every account, the clearing account and what the vault holds, in one request."""
    vault, accounts = market.vault, sorted(market.accounts())
    calls = [_call(vault.accountOf, account) for account in accounts]
    calls += [_call(vault.claimOf, account) for account in accounts]
    calls += [_call(vault.clearingAccount), _call(vault.held)]
    requests = [("eth_call", [call, "latest"]) for call in calls]
    answers = ape.chain.provider.web3.provider.make_batch_request(requests)
    words = [bytes.fromhex(str(answer["result"])[2:]) for answer in answers]
    count = len(accounts)
    entries = {}
    for account, state, claim in zip(accounts, words[:count], words[count : 2 * count], strict=True):
        balance, locked, debt, _ = decode(["uint80", "uint80", "uint80", "uint16"], state)
        entries[account] = Entry(balance, locked, debt, int.from_bytes(claim, "big"))
    clearing = int.from_bytes(words[-2], "big", signed=True)
    return entries, clearing, int.from_bytes(words[-1], "big")
