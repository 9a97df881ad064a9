"""An outside bot, as a tenant would write one: it keeps itself supplied for the next period.

    BOURSE_TENANT=acme BOURSE_KEY=acme.key python -m infra.demo.example_bot llama-70b --sell-at 900 --buy-at 1500

At the beginning of each period it expects to use in the next one what it used in the last one, and a tenth more. What it owns of
the next period beyond that it offers; what is missing it bids for, as far as its money reaches. It prints what its orders come to.
Bots that need nothing from outside are better left to the engine, which runs them in the log (`bourse bots`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict

from streams.client import TenantClient
from streams.errors import UserError
from streams.tickets import Outcome
from streams.updates import OrderUpdate

LOOK_EVERY_S = 0.5


async def tell_updates(client: TenantClient) -> None:
    """Prints what happens to own orders, also long after they were sent."""
    async for update in client.updates():
        if isinstance(update, OrderUpdate):
            told = f"{update.event}: {update.side} {update.qty:,} at {update.price:,}, {update.open:,} open"
            print(f"period {update.period}  {update.order}  {told} {update.reason}".rstrip(), flush=True)


async def supply(client: TenantClient, period: int, needed: int, sell_at: int, buy_at: int) -> Outcome | None:
    """Sells what is too much of a period, or buys what is missing; None if there is nothing to do."""
    state = await client.state()
    spare = state.position(period).owned - needed
    if spare > 0:
        ticket = await client.submit(side="sell", period=period, qty=spare, price=sell_at)
    else:
        affordable = min(-spare, state.account.available // buy_at)
        if not affordable:
            return None
        ticket = await client.submit(side="buy", period=period, qty=affordable, price=buy_at)
    outcome = await ticket.outcome()
    if outcome.rejected:  # somebody was faster, or fees are due: the next period is another chance
        print(f"period {period}  {ticket.id}  rejected: {outcome.reason} ({outcome.detail})", flush=True)
    return outcome


async def run(client: TenantClient, periods: int | None, sell_at: int, buy_at: int) -> None:
    """Trades once a period; `periods`: how often, None: until it is interrupted."""
    used: defaultdict[int, int] = defaultdict(int)
    done = 0
    telling = asyncio.create_task(tell_updates(client))
    try:
        while periods is None or done < periods:
            account = await client.account()
            if account.period is not None:
                if account.period not in used and used:
                    await supply(client, account.period + 1, used[max(used)] * 11 // 10, sell_at, buy_at)
                    done += 1
                used[account.period] = account.used
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        telling.cancel()
        await asyncio.wait({telling})


async def main() -> None:
    """Reads the command line and trades."""
    parser = argparse.ArgumentParser(description="Sells what will be idle in the next period, buys what will be missing.")
    parser.add_argument("pool")
    parser.add_argument("--sell-at", type=int, required=True, help="nanocredits per token, at least")
    parser.add_argument("--buy-at", type=int, required=True, help="nanocredits per token, at most")
    parser.add_argument("--periods", type=int, help="stop after so many")
    given = parser.parse_args()
    async with TenantClient(pool=given.pool) as client:  # who it is and its key: BOURSE_TENANT, BOURSE_KEY
        await run(client, given.periods, given.sell_at, given.buy_at)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except UserError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
