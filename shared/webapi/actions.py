"""Actions and functions: what the Web API does beyond rows. Names and parameters are Dataverse's."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson

from shared.engagement.options import SENDER, SENT
from shared.services import attaching, composing
from shared.services.errors import Missing
from shared.services.parties import demand_sender
from shared.services.rights import Denied, demand_administrator, demand_write
from shared.services.tracking import next_token
from shared.storage import emails
from shared.webapi import bulk
from shared.webapi.bulk_delete import bulk_delete
from shared.webapi.context import Context
from shared.webapi.errors import Failure, bad_payload
from shared.webapi.operations import demand_parameters
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES
from shared.webapi.values import format_time, parse_guid, to_stored

type Answer = dict[str, Any] | None
"""The response's properties, or None for 204."""

_RECIPIENTS = ("contact", "account", "lead", "systemuser")
"""Tables whose rows BestTimeToEmail takes."""
PEOPLE = ("contact", "account", "lead")


async def who_am_i(context: Context) -> Answer:
    """WhoAmI: the ids of the caller and of the organization, which is its only business unit."""
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
        "BusinessUnitId": context.organization.id,
        "UserId": context.caller.user,
        "OrganizationId": context.organization.id,
    }


async def send_email(context: Context, id: str, sent: Mapping[str, Any]) -> Answer:
    """SendEmail: ``IssueSend`` true sends; false only marks as sent what went out by other means.

    Source: Microsoft's SendEmail action reference. ``TrackingToken`` is kept in the email's ``trackingtoken``.
    Dataverse also appends it to the subject, to know replies by; here replies are found by their headers, and the
    recipient reads the subject that the sender wrote.
    """
    demand_parameters(sent, "SendEmail")
    issue = sent.get("IssueSend")
    if not isinstance(issue, bool):
        raise bad_payload("SendEmail needs the parameter 'IssueSend': true to send, false to only mark as sent.")
    kept = _tracking_token(sent.get("TrackingToken"))
    organization, caller = context.organization, context.caller
    partition = await emails.read_partition(organization, id)
    if partition is None:
        raise Missing(f"email With Id = {id} Does Not Exist")
    demand_write(caller, partition.email, "This email")
    for party in partition.parties:
        if party["participationtypemask"] == SENDER:
            demand_sender(caller, party.get("partyid_type") or "", party.get("partyid") or "")
    if issue:
        from shared.services.sending import send_email as send

        await send(organization, id, caller, context.now, columns=kept)
    else:
        await composing.change_email(organization, caller, id, {"statuscode": SENT, **kept}, now=context.now)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.SendEmailResponse",
        "Subject": partition.email.get("subject") or "",
    }


def _tracking_token(value: object) -> dict[str, Any]:
    """Return the column that a tracking token is kept in, {} where none is given."""
    email = TABLES["email"]
    token = to_stored(email, email.by_name["trackingtoken"], value)
    return {} if token is None else {"trackingtoken": token}


async def get_tracking_token_email(context: Context, sent: Mapping[str, Any]) -> Answer:
    """GetTrackingTokenEmail: a token for an email that is to be sent, always a new one. ``Subject`` does not matter."""
    demand_parameters(sent, "GetTrackingTokenEmail")
    if not isinstance(sent.get("Subject"), str | None):
        raise bad_payload("The parameter 'Subject' of 'GetTrackingTokenEmail' must be a text.")
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.GetTrackingTokenEmailResponse",
        "TrackingToken": await next_token(context.organization, context.caller.user),
    }


async def best_time_to_email(context: Context, sent: Mapping[str, Any]) -> Answer:
    """BestTimeToEmail: when to write to the recipients, null where nothing says it, and the reason."""
    demand_parameters(sent, "BestTimeToEmail")
    given = sent.get("EntityReferenceCollection")
    if not isinstance(given, list) or not given:
        raise bad_payload(
            "BestTimeToEmail needs the parameter 'EntityReferenceCollection', a list of recipients such as "
            '{"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": "<id>"}.'
        )
    from shared.services.best_time import best_time

    people = [recipient(item, f"EntityReferenceCollection[{number}]") for number, item in enumerate(given)]
    advice = await best_time(context.organization, people, context.now)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.BestTimeToEmailResponse",
        "PreferredTime": format_time(advice.moment) if advice.moment else None,
        "Reason": advice.reason,
    }


async def erase_person(context: Context, sent: Mapping[str, Any]) -> Answer:
    """ee_ErasePerson: begin to erase a person, or say how far that is; the record goes only with ``DeleteRecord``."""
    from shared.services import erasing

    demand_parameters(sent, "ee_ErasePerson")
    demand_administrator(context.caller, "what is held about a person")
    delete_record = sent.get("DeleteRecord")
    if not isinstance(delete_record, bool | None):
        raise bad_payload("The parameter 'DeleteRecord' of 'ee_ErasePerson' must be true or false.")
    table, key = recipient(sent.get("Target"), "Target", PEOPLE)
    progress = await erasing.start(context.organization, table, key, context.now, delete_record=bool(delete_record))
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.ee_ErasePersonResponse",
        "Status": progress.status,
        "PercentComplete": progress.percent,
        "EmailCount": progress.emails,
    }


async def export_person(context: Context, sent: Mapping[str, Any]) -> Answer:
    """ee_ExportPerson: everything that is held about a person, JSON in a text."""
    from shared.services.person_export import export

    demand_parameters(sent, "ee_ExportPerson")
    if not context.caller.administers:
        raise Denied("Only an Administrator may export what is held about a person.")
    table, key = recipient(sent.get("Target"), "Target", PEOPLE)
    document = await export(context.organization, table, key, context.now)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.ee_ExportPersonResponse",
        "Document": orjson.dumps(document).decode(),
    }


def recipient(item: object, where: str, tables: Sequence[str] = _RECIPIENTS) -> tuple[str, str]:
    """Return the table, of `tables`, and id of a recipient; raise `Failure` 400 naming what is wrong `where`."""
    if not isinstance(item, dict):
        raise bad_payload(f"'{where}' must be an object with '@odata.type' and the id of a record.")
    kind = item.get("@odata.type")
    name = kind.removeprefix("#").removeprefix("Microsoft.Dynamics.CRM.") if isinstance(kind, str) else ""
    if name not in tables:
        raise bad_payload(
            f"'{where}' needs an '@odata.type' of a recipient: "
            + ", ".join(f"Microsoft.Dynamics.CRM.{table}" for table in tables)
            + "."
        )
    key = TABLES[name].id
    value = item.get(key)
    found = parse_guid(value) if isinstance(value, str) else None
    if found is None:
        raise bad_payload(f"'{where}' needs '{key}', the id of the {name}.")
    return name, found


def unqualified(name: str) -> Failure:
    """Return the failure of a bound action that is called without its namespace."""
    return bad_payload(f"Request message has unresolved parameters: call the action Microsoft.Dynamics.CRM.{name}.")


async def follow_email_attachment(context: Context, sent: Mapping[str, Any]) -> Answer:
    """FollowEmailAttachment: `isfollowed` is read-only, this is how clients set it."""
    return await _follow(context, sent, "FollowEmailAttachment", followed=True)


async def unfollow_email_attachment(context: Context, sent: Mapping[str, Any]) -> Answer:
    """UnfollowEmailAttachment: the file travels as an ordinary attachment again."""
    return await _follow(context, sent, "UnfollowEmailAttachment", followed=False)


async def _follow(context: Context, sent: Mapping[str, Any], action: str, *, followed: bool) -> Answer:
    demand_parameters(sent, action)
    value = sent.get("ActivityMimeAttachmentId")
    attachment = parse_guid(value) if isinstance(value, str) else None
    if attachment is None:
        raise bad_payload(f"{action} needs the parameter 'ActivityMimeAttachmentId', the attachment's id.")
    await attaching.follow_attachment(
        context.organization, context.caller, attachment, followed=followed, now=context.now
    )
    return None


FUNCTIONS: Mapping[str, Callable[[Context], Awaitable[Answer]]] = {"WhoAmI": who_am_i}
"""Unbound functions without parameters, called with GET, with or without parentheses."""

UNBOUND: Mapping[str, Callable[[Context, Mapping[str, Any]], Awaitable[Answer]]] = {
    "BestTimeToEmail": best_time_to_email,
    "BulkDelete": bulk_delete,
    "FollowEmailAttachment": follow_email_attachment,
    "GetTrackingTokenEmail": get_tracking_token_email,
    "ee_ErasePerson": erase_person,
    "ee_ExportPerson": export_person,
    "UnfollowEmailAttachment": unfollow_email_attachment,
}
"""Actions of the service."""

BOUND: Mapping[tuple[str, str], Callable[[Context, str, Mapping[str, Any]], Awaitable[Answer]]] = {
    ("email", "SendEmail"): send_email,
}
"""Actions of a row, by table and name; called with their full name, ``Microsoft.Dynamics.CRM.SendEmail``."""

ON_SETS: Mapping[str, Callable[[Context, Table, Mapping[str, Any]], Awaitable[Answer]]] = {
    "CreateMultiple": bulk.create_multiple,
    "UpdateMultiple": bulk.update_multiple,
    "UpsertMultiple": bulk.upsert_multiple,
}
"""Actions of any set, called with their full name."""
