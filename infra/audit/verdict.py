"""What an audit of one pool came to."""

from __future__ import annotations

from dataclasses import dataclass

from infra.audit.checks import Outcome
from infra.audit.engine import Comparison
from infra.audit.store import Scope
from processors.audit_lines import Report


@dataclass(slots=True)
class Verdict:
    """Of one pool. `engine` is None where it was not asked."""

    scope: Scope
    report: Report
    checks: list[Outcome]
    engine: Comparison | None = None

    @property
    def clean(self) -> bool:
        """Whether everything holds."""
        return self.found == 0

    @property
    def found(self) -> int:
        """How much does not hold."""
        differing = 0 if self.engine is None else self.engine.differing
        return sum(self.report.counts.values()) + sum(outcome.failing for outcome in self.checks) + differing
