"""What must hold whatever happened, read from the chain alone."""

from collections import Counter

from clearwatt.chain import codec
from clearwatt.community.audit import Audit
from tests.faults.world import World
from tests.integration.street import BIDS


def settled_more_than_once(world: World) -> list[str]:
    """Members settled twice in one auction; the chain's events count, not a view of them."""
    logged = world.client.settlement.events.MembersSettled.get_logs(
        from_block=world.client.deployment.first_block
    )
    settled = Counter(
        (event["args"]["auction"], one.member)
        for event in logged
        for one in codec.unpack_settlements(event["args"]["settlements"], world.schedule.slots)
    )
    return [
        f"{member} {times} times in auction {auction}"
        for (auction, member), times in settled.items()
        if times > 1
    ]


def money_missing(world: World) -> int:
    """What the accounts and the network hold less than was deposited, money units; 0 unless money came or went."""
    audit = Audit(world.client)
    clearing = world.client.vault.functions.clearingAccount().call()
    return (
        sum(audit.deposited.values()) - sum(balance for balance, _, _ in audit.balances.values()) - clearing
    )


def faults_after_a_phase(world: World) -> list[str]:
    """What does not hold at a moment when auctions may be under way."""
    found = [f"settled {twice}" for twice in settled_more_than_once(world)]
    if missing := money_missing(world):
        found.append(f"{missing} units of money are missing")
    return found


def faults_at_the_end(world: World) -> list[str]:
    """What does not hold when everything should be done."""
    found = faults_after_a_phase(world)
    found += [f"{check.name}: {check.detail}" for check in Audit(world.client).checks() if not check.ok]
    for auction in world.auctions:
        settled = len(world.view(auction).settled)
        if settled != len(BIDS):
            found.append(f"auction {auction}: {settled} of {len(BIDS)} settled")
    return found + messages_missing(world)


def messages_missing(world: World) -> list[str]:
    """Messages that were acknowledged and are lost, or that have not reached every oracle; given time to do so."""
    world.wait_for(lambda: all(world.kept(operator) == world.acknowledged for operator in world.operators))
    return [
        f"{operator.name} lacks {len(world.acknowledged - kept)} messages, {len(kept - world.acknowledged)} too many"
        for operator in world.operators
        for kept in [world.kept(operator)]
        if kept != world.acknowledged
    ]
