"""How an operator commands a market and hears what came of it: deposits, keys, calls, proposals to rebalance.

async with OperatorClient("llama-70b") as operator:
refusal = await operator.command(DepositCommand(id="d-1", pool="llama-70b", tenant="acme", amount=5_000_000_000))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from processors.state import command_key
from schemas.fact import Fact
from schemas.facts import CommandRefused
from schemas.loop_facts import NeedsTaken
from schemas.market import OperatorCommand
from schemas.market_facts import BookPhase, CommandTaken, KeySet
from schemas.planning import RebalanceCommand
from streams.client import CommandPublisher
from streams.market_reader import MarketReader
from streams.tickets import PATIENCE, NoAnswer


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the engine did not do it; `detail` names field and value."""

    reason: str
    detail: str


class OperatorClient(MarketReader):
    """Commands one pool's market. Commands are not signed: who may write to `profiles` is an operator."""

    async def command(
        self,
        command: OperatorCommand | RebalanceCommand,
        timeout: timedelta = PATIENCE,  # noqa: ASYNC109  a client's question, not a scope of tasks
    ) -> Refused | None:
        """Publishes a command and waits for what the engine says to it. A command is identified by its `id`.

        Returns:
            None if it was done.

        Raises:
            UndeliveredError: the broker did not acknowledge it; send it again with its id.
            NoAnswer: the engine has not decided in time; or the id was used before: then it says nothing.
            Unavailable: Kafka does not answer.
        """
        await self.open()
        with CommandPublisher(self.settings) as publisher:
            await publisher.publish_async(command)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                async for refused in self._facts(
                    (CommandTaken, CommandRefused, KeySet, BookPhase, NeedsTaken), _answers(command), None
                ):
                    return refused[0] if refused else None
        except TimeoutError:
            pass
        raise NoAnswer(
            f"{command.KIND} {command.id!r} was not decided within {timeout.total_seconds():g} s; "
            "it stands in the topic, and the engine takes it when it can"
        )


def _answers(command: OperatorCommand | RebalanceCommand) -> Callable[[Fact, int], list[list[Refused]]]:
    """What a fact says to the command: nothing, done (an empty list), or why not."""
    taken = command_key(command.pool, command.id).hex()

    def read(fact: Fact, _offset: int) -> list[list[Refused]]:
        match fact:
            case CommandRefused() if (fact.command, fact.command_id) == (command.KIND, command.id):
                return [[Refused(str(fact.reason), fact.detail)]]
            case CommandTaken() if fact.digest == taken:
                return [[]]
            case KeySet() | BookPhase() | NeedsTaken() if fact.id == command.id:
                return [[]]
            case _:
                return []

    return read
