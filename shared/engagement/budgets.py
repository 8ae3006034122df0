"""How many hits an email keeps one by one, by whomever; beyond, who still has a share.

Without a bound a flood from very many addresses would have every fold of the email read and judge all of it. Beyond the
budget most hits can only be counted, but a person's must still show. Nothing tells a person's from a flood's, so a
small share is set aside for each that a flood has to crowd separately: every quarter of an hour, so that what comes
after the flood is told; every link and file, so that what the flood does not ask for is told; and every source that was
there before the budget was used up, so that whoever is known is told amid the flood.
"""

from collections import Counter

from shared.engagement.hits import Kind

EMAIL_BUDGET = 20_000
"""Hits of an email that are kept one by one: 500 recipients, the most a mail may have, with ten displays of a pixel and
three images each."""
MOST = 2 * EMAIL_BUDGET
"""Hits of an email that are ever kept, with all shares; what a fold reads at most."""
SHARE = 20
"""Hits that are kept beyond the budget for each quarter of an hour, each link and file, each known source."""
KNOWN = 500
"""Sources that are known, the first ones: as many as a mail may have recipients."""

_QUARTER = 900_000  # ms


class EmailBudget:
    """What one email has kept so far. `budget` is how many hits are kept before shares count."""

    def __init__(self, budget: int = EMAIL_BUDGET) -> None:
        self._budget, self._most = budget, budget * (MOST // EMAIL_BUDGET)
        self._hits = 0
        self._known: set[str] = set()
        self._shares: Counter[tuple[object, ...]] = Counter()

    def keep(self, source: str, kind: Kind, item: int, at: int) -> None:
        """Take into account a hit that is kept; `at` is milliseconds since the epoch. Hits come in the order of time,
        as far as that is known."""
        self._hits += 1
        if self._hits <= self._budget:
            if len(self._known) < KNOWN:
                self._known.add(source)
            return
        self._shares.update(self._shares_of(source, kind, item, at))

    def has_room(self, source: str, kind: Kind, item: int, at: int) -> bool:
        """Return whether one more hit is kept."""
        if self._hits < self._budget:
            return True
        if self._hits >= self._most:
            return False
        return any(self._shares[share] < SHARE for share in self._shares_of(source, kind, item, at))

    def _shares_of(self, source: str, kind: Kind, item: int, at: int) -> list[tuple[object, ...]]:
        shares: list[tuple[object, ...]] = [("quarter", at // _QUARTER), ("item", kind, item)]
        if source in self._known:
            shares.append(("source", source))
        return shares
