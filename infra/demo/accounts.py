"""What the gateway says that requests used, beside what the backend counted itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from infra.demo.clients import Reserved
from infra.demo.serving import Made

ESTIMATE_ABOVE = 1
"""By how much the gateway's estimate of an input is above the backend's count, tokens: it counts the name of the message's role."""


class Landed(NamedTuple):
    """A request as it landed in ClickHouse: tokens."""

    request: str
    tenant: str
    input: int
    output: int


@dataclass(slots=True)
class Account:
    """One tenant's requests.

    Whole ones are settled at what the backend reported: both sides must agree, request by request. Who was stopped pays the input
    that it sent, as the gateway estimates it, and the output that came through. The backend had read no more of the input, and made
    a few tokens more until it heard of the end: as many as the request had reserved at most.

    Attributes:
        tenant: whose.
        requests: that landed.
        made: tokens of whole requests, as the backend counted them.
        landed: tokens of whole requests, as they landed.
        stopped: requests that were stopped.
        stopped_made: their output, as the backend counted it.
        stopped_paid: their output, as it landed.
        counted: tokens of all, as they were counted into periods.
        wrong: requests on which the two disagree, or that one of them does not know.
        total: tokens of all that landed.
    """

    tenant: str
    requests: int = 0
    made: int = 0
    landed: int = 0
    stopped: int = 0
    stopped_made: int = 0
    stopped_paid: int = 0
    counted: int = 0
    wrong: int = 0
    total: int = 0

    @property
    def exact(self) -> bool:
        """Whether nothing disagrees."""
        return not self.wrong and self.made == self.landed and self.counted == self.total


def accounts(
    landed: Iterable[Landed], made: Mapping[str, Made], stopped: Mapping[str, Reserved], counted: Mapping[str, int]
) -> list[Account]:
    """Every tenant's, by name; what the backend made for nobody that landed is on the account of "".

    Args:
        landed: each request, once.
        made: by request, as the backend counted it.
        stopped: requests that were stopped, and what they had reserved.
        counted: by tenant: tokens in periods.
    """
    found: defaultdict[str, Account] = defaultdict(lambda: Account(""))
    known = set()
    for request in landed:
        known.add(request.request)
        account = found[request.tenant]
        account.requests += 1
        account.total += request.input + request.output
        truth, reserved = made.get(request.request), stopped.get(request.request)
        if reserved is None:
            account.landed += request.input + request.output
            account.made += truth.input + truth.output if truth else 0
            account.wrong += truth != (request.input, request.output)
        else:
            read, wrote = truth or Made(0, 0)  # it was stopped before it got there
            account.stopped += 1
            account.stopped_made += wrote
            account.stopped_paid += request.output
            within = read <= request.input <= reserved.input + ESTIMATE_ABOVE and request.output <= wrote <= reserved.output
            account.wrong += not within
    for name in made.keys() - known:
        found[""].wrong += 1
        found[""].made += made[name].input + made[name].output
    for tenant, tokens in counted.items():
        found[tenant].counted = tokens
    for tenant, account in found.items():
        account.tenant = tenant
    return [found[tenant] for tenant in sorted(found)]
