"""Recommended templates: judged from the evidence in their records, which the figures keep.

A template is recommended where it is for the kind of record that it is made for, a global one (`GLOBAL`) where it is
for any kind. ``_recommended`` of its record holds the kinds, because what is recommended stays so by a looser bound.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime

from shared.engagement.figures import PEOPLE
from shared.engagement.recommending import Candidate, Judgement, rank
from shared.engagement.recommending import judge as judge_all
from shared.engagement.tallies import load_weeks
from shared.engagement.times import milliseconds
from shared.storage import records
from shared.storage.account import StorageError
from shared.storage.calls import side_by_side
from shared.storage.contention import insist
from shared.storage.organizations import Organization, list_organizations
from shared.storage.tables import Entity

KINDS = PEOPLE
"""Tables of records that templates are recommended for."""
GLOBAL = "systemuser"
"""The ``templatetypecode`` of templates that fit every kind of record, in Dynamics too."""

_COLUMNS = (
    "RowKey", "title", "languagecode", "templatetypecode", "ispersonal", "ownerid", "isrecommended", "_recommended",
    *(f"_evidence_{kind}" for kind in KINDS),
)  # fmt: skip
_JUDGED = ("_recommended", "templatetypecode")

_log = logging.getLogger(__name__)


async def judge(organization: Organization, now: datetime) -> None:
    """Write ``isrecommended`` of every template of which something else is thought at `now`."""
    templates = await _templates(organization)
    # In a thread: comparing a thousand templates takes a second, and recipients are served here too.
    found = await asyncio.to_thread(_judge, templates, now)

    async def write(template: Entity) -> None:
        key = template["RowKey"]
        kinds = " ".join(kind for kind in KINDS if key in found[kind] and found[kind][key].recommended)
        if (kinds, bool(kinds)) != (template.get("_recommended", ""), template.get("isrecommended", False)):
            await _write(organization, template, kinds)

    await side_by_side(write, templates)


async def judge_everywhere(now: datetime) -> None:
    """Judge the templates of every organization: mail gets old enough to count, and then counts less and less."""
    for organization in await list_organizations():
        try:
            await judge(organization, now)
        except StorageError as error:
            _log.warning("the templates of %s are judged in an hour: %s", organization.name, error.code)


async def recommend(organization: Organization, kind: str, now: datetime) -> list[tuple[Entity, Judgement]]:
    """Return the templates that fit a `kind` of record, of `KINDS`, with what is thought of them, the best first.

    Nothing is written: what was recommended last is judged as such.
    """
    templates = {template["RowKey"]: template for template in await _templates(organization)}
    found = await asyncio.to_thread(_judge, list(templates.values()), now)
    return [(templates[judgement.id], judgement) for judgement in rank(list(found[kind].values()))]


async def _templates(organization: Organization) -> list[Entity]:
    return [row async for page in records.query(organization, "template", select=_COLUMNS) for row in page]


def _judge(templates: Sequence[Entity], now: datetime) -> dict[str, dict[str, Judgement]]:
    """Return the judgements on the templates that fit each kind of record, by their ids."""
    fitting = {
        kind: [
            Candidate(
                template["RowKey"],
                load_weeks(template.get(f"_evidence_{kind}", "")),
                kind in template.get("_recommended", "").split(),
            )
            for template in templates
            if template.get("templatetypecode") in (kind, GLOBAL)
        ]
        for kind in KINDS
    }
    return judge_all(fitting, milliseconds(now))


async def _write(organization: Organization, judged: Entity, kinds: str) -> None:
    """Write for what `kinds` of records a template is recommended; not where it was deleted since it was `judged`, or
    changed in what the judgement rests on beside its mail: then the next one is right."""
    key = judged["RowKey"]

    async def attempt() -> None:
        template = await records.get(organization, "template", key)
        if template is not None and all(template.get(name) == judged.get(name) for name in _JUDGED):
            columns = {"_recommended": kinds, "isrecommended": bool(kinds)}
            await records.merge(organization, "template", key, columns, template["etag"])

    await insist(attempt)
