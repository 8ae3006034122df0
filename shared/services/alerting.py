"""Action cards: one per email and kind, made once, left alone from then on.

What raises a card is noted on the email's row together with what happened, in a column per kind (`state_column`):
absent, ``held``, ``raise`` (due, the card may not be written yet), ``raised``, ``withdraw`` (the card may still be
there), ``off`` (it was due while its kind was switched off, and does not come later). So a crash between the email and
the card is made good by whoever comes next: the next fold, the message about a reply or a delivery that comes again.

The cards of hits are held while a person's hit may turn out a machine's, and withdrawn if it does.
"""

import contextlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from shared.engagement import cards
from shared.engagement.counting import OPENS
from shared.engagement.hits import Kind
from shared.engagement.labels import Label
from shared.engagement.options import REPLY, is_recipient
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.services import telling
from shared.storage import emails, records
from shared.storage.account import Conflict, NotFound
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

HITS: Mapping[str, frozenset[Kind]] = {
    "firstopen": OPENS,
    "firstclick": frozenset({Kind.LINK}),
    "attachmentopened": frozenset({Kind.ATTACHMENT}),
}
"""The cards that hits raise, and which hits."""

UNFINISHED = ("raise", "withdraw")


def state_column(kind: str) -> str:
    """Return the column of an email's row that says how far its card of a kind is."""
    return "_card" if kind == "firstopen" else f"_card_{kind}"


STATE_COLUMNS = tuple(state_column(kind) for kind in cards.KINDS)


def next_state(state: str | None, due: int | None, now: int, *, on: bool = True) -> str | None:
    """Return a card's next state; `due` is when a person's hit is worth an alert (ms), None where there is none; `on`
    is whether the organization has cards of this kind.

    >>> next_state(None, 5, 4), next_state("held", 5, 5), next_state("raised", 5, 9), next_state("raised", None, 9)
    ('held', 'raise', 'raised', 'withdraw')
    """
    if due is None:
        return "withdraw" if state in ("raise", "raised", "withdraw") else None
    if state in ("raise", "raised", "off"):
        return state
    if not on:
        return "off"
    return "raise" if due <= now else "held"


def is_on(organization: Organization, kind: str) -> bool:
    """Return whether an organization has cards of a kind; a user may still have switched them off."""
    settings = organization.settings
    return bool(settings["isactioncardenabled"]) and kind not in settings["card_kinds_off"]


def card_of(email_id: str, kind: str) -> str:
    """Return the id of an email's card of one kind; one email has at most one of each."""
    return str(uuid.uuid5(uuid.UUID(email_id), f"actioncard/{kind}"))


def user_state_of(card_id: str, user: str) -> str:
    """Return the id of what a user made of a card; there is one row for both."""
    return str(uuid.uuid5(uuid.UUID(card_id), f"actioncarduserstate/{user}"))


async def raise_card(
    organization: Organization,
    partition: EmailPartition,
    kind: str,
    now: datetime,
    *,
    moment: datetime | None = None,
    detail: str = "",
) -> str | None:
    """Make an email's card of a kind and return its id, None where the organization or the owner has none of that kind.

    A card that is there already stays as it is: its owner may have dismissed it. `moment` is when it happened, now
    where that is not known; `detail` what the kind's words say beside (`shared.engagement.cards.words`).
    """
    email = partition.email
    if not is_on(organization, kind) or kind in await _switched_off(organization, email.get("ownerid")):
        return None
    card_id = card_of(email["PartitionKey"], kind)
    with contextlib.suppress(Conflict):
        row = _card(partition, kind, card_id, moment or now, detail, now)
        await records.insert(organization, "actioncard", card_id, row)
        await telling.tell(organization, row, now)
    return card_id


async def settle(
    organization: Organization,
    partition: EmailPartition,
    kind: str,
    state: str,
    now: datetime,
    *,
    moment: datetime | None = None,
    detail: str = "",
) -> None:
    """Write or withdraw the card that `state` asks for, and note it on the email."""
    email_id = partition.email["PartitionKey"]
    done: str | None = None
    if state == "raise":
        raised = await raise_card(organization, partition, kind, now, moment=moment, detail=detail)
        done = "raised" if raised else "off"
    else:
        await withdraw(organization, email_id, kind)
    says = await _note(organization, email_id, state_column(kind), state, done)
    if state == "raise" and says in (None, "withdraw"):
        # Withdrawn by others while it was written, or the email is gone: they may have found no card yet.
        await withdraw(organization, email_id, kind)


async def withdraw(organization: Organization, email_id: str, kind: str) -> None:
    """Take an email's card of a kind away, if there is one."""
    await records.delete(organization, "actioncard", card_of(email_id, kind))


async def apply_user_state(organization: Organization, id: str, user: str, now: datetime) -> None:
    """Let a card show what its owner made of it; what others made of it is theirs alone. `user` says so."""
    made = await records.get(organization, "actioncarduserstate", id)
    card = await records.get(organization, "actioncard", made["actioncardid"]) if made else None
    if made is None or card is None or card.get("ownerid") != made["ownerid"]:
        return
    shown = {"state": made["state"], "startdate": made["startdate"], "modifiedby": user}
    with contextlib.suppress(NotFound):
        stamp = iso_seconds(milliseconds(now))
        await records.merge(organization, "actioncard", card["RowKey"], {**shown, "modifiedon": stamp})


async def settle_reply(organization: Organization, email_id: str, now: datetime) -> None:
    """Write the card of an email's first reply where it is due and not written yet."""
    partition = await _read_due(organization, email_id, "reply")
    if partition is None:
        return
    rows = (row for row in reversed(partition.interactions) if is_persons_reply(row))
    first = next(rows, None)
    moment = parse_iso(first["emailinteractiontime"]) if first else None
    who = str(first.get("interactionrepliedby") or "") if first else ""
    await settle(organization, partition, "reply", "raise", now, moment=moment, detail=who)


async def settle_failure(organization: Organization, email_id: str, now: datetime) -> None:
    """Write the card of an email that could not be sent where it is due and not written yet."""
    partition = await _read_due(organization, email_id, "failed")
    if partition is None:
        return
    email = partition.email
    moment = parse_iso(email["modifiedon"]) if email.get("modifiedon") else None
    why = str(email.get("ee_failurereason") or "")
    await settle(organization, partition, "failed", "raise", now, moment=moment, detail=why)


async def _read_due(organization: Organization, email_id: str, kind: str) -> EmailPartition | None:
    """Return an email whose card of a kind is due and may not be written yet, else None."""
    email = await emails.get_email(organization, email_id)
    if email is None or email.get(state_column(kind)) != "raise":
        return None
    return await emails.read_partition(organization, email_id, interactions=kind == "reply")


def is_persons_reply(interaction: Mapping[str, Any]) -> bool:
    """Return whether an interaction is a person's reply."""
    return interaction.get("interactiontype") == REPLY and interaction.get("ee_label") == Label.PERSON


def recipient_names(parties: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of a mail's recipients, their addresses where they have none."""
    return [
        str(party.get("_name") or party.get("unresolvedpartyname") or party.get("addressused") or "A recipient")
        for party in parties
        if is_recipient(party)
    ]


async def _switched_off(organization: Organization, owner: str | None) -> list[str]:
    """Return the kinds that an email's owner has switched off."""
    user = await records.get(organization, "systemuser", owner) if owner else None
    return str((user or {}).get("ee_cardkindsoff") or "").split(";")


async def _note(organization: Organization, email_id: str, column: str, state: str, done: str | None) -> str | None:
    """Note on an email that its card's `state` was settled, and return what the email says then: None for withdrawn,
    and where there is no such email."""

    async def attempt() -> str | None:
        email = await emails.get_email(organization, email_id)
        if email is None or email.get(column) != state:
            return None if email is None else email.get(column)
        await emails.commit(organization, email, {column: done})
        return done

    return await insist(attempt)


def _card(
    partition: EmailPartition, kind: str, card_id: str, moment: datetime, detail: str, now: datetime
) -> dict[str, Any]:
    email = partition.email
    known = cards.KINDS[kind]
    title, description = cards.words(
        kind, recipient_names(partition.parties), str(email.get("subject") or ""), moment, detail
    )
    stamp = iso_seconds(milliseconds(now))
    return {
        "actioncardid": card_id,
        "title": title,
        "description": description,
        "cardtype": known.cardtype,
        "priority": known.priority,
        "startdate": stamp,
        "expirydate": iso_seconds(milliseconds(now + known.lifetime)),
        "regardingobjectid": email["PartitionKey"],
        "regardingobjectid_type": "email",
        "recordid": email["PartitionKey"],
        "data": cards.actions(email["PartitionKey"]),
        "ownerid": email.get("ownerid"),
        "source": 1,
        "state": 0,
        "visibility": True,
        "createdon": stamp,
        "modifiedon": stamp,
    }
