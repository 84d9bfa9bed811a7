"""Which budgets an attempt counts against."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from routewright.ledger.budgets import Budget, Scope
from routewright.tenant import Tenant


class Rules(Struct, frozen=True):
    """All budgets there are, by what they look at."""

    by_name: Mapping[str, Budget]
    by_subject: Mapping[tuple[Scope, str], Sequence[Budget]]
    """Of a subject its own; under the empty subject, those that each has for itself, and the total."""
    has_hard: bool

    @classmethod
    def of(cls, budgets: Iterable[Budget]) -> "Rules":
        """Of two budgets with one name, the later counts."""
        by_name = {budget.name: budget for budget in budgets}
        by_subject: dict[tuple[Scope, str], list[Budget]] = {}
        for budget in by_name.values():
            by_subject.setdefault((budget.scope, budget.subject), []).append(budget)
        return cls(by_name, by_subject, any(budget.is_hard for budget in by_name.values()))

    def applying(self, tenant: Tenant, tags: Sequence[str], model: str, cause: str) -> Iterator[tuple[Budget, str]]:
        """Every budget that such an attempt counts against; with the subject, where each has one for itself."""
        by_subject = self.by_subject
        for budget in by_subject.get((Scope.TOTAL, ""), ()):
            yield budget, ""
        if len(by_subject) == 1 and (Scope.TOTAL, "") in by_subject:
            return
        subjects = [(Scope.KEY, tenant.key), (Scope.TEAM, tenant.team), *((Scope.TAG, tag) for tag in tags)]
        for scope, subject in (*subjects, (Scope.MODEL, model), (Scope.CAUSE, cause)):
            if subject:
                for budget in by_subject.get((scope, subject), ()):
                    yield budget, ""
                for budget in by_subject.get((scope, ""), ()):
                    yield budget, subject
