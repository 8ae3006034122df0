"""Actions and functions: what the Web API does beyond rows. Names and parameters are Dataverse's."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.engagement.options import SENT
from shared.services import attaching, composing
from shared.services.tracking import next_token
from shared.storage import emails
from shared.webapi import bulk, engagement, people
from shared.webapi.bulk_delete import bulk_delete
from shared.webapi.context import Context
from shared.webapi.entities import named_record
from shared.webapi.errors import Failure, bad_payload
from shared.webapi.operations import demand_parameters
from shared.webapi.recommending import recommend_templates
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES
from shared.webapi.template_actions import instantiate_template, send_email_from_template
from shared.webapi.values import format_time, parse_guid, to_stored

type Answer = dict[str, Any] | None
"""The response's properties, or None for 204."""

_RECIPIENTS = ("contact", "account", "lead", "systemuser")
"""Tables whose rows BestTimeToEmail takes."""


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
    if issue:
        from shared.services.sending import send_email as send

        await send(organization, id, caller, context.now, columns=kept)
    else:
        await composing.change_email(organization, caller, id, {"statuscode": SENT, **kept}, now=context.now)
    email = await emails.get_email(organization, id, ("subject",)) or {}
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.SendEmailResponse",
        "Subject": email.get("subject") or "",
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
    from shared.services.best_time import MAX_RECIPIENTS, best_time

    # Somebody may be named more than once, in as many ways as there are.
    if len(given) > (most := 10 * MAX_RECIPIENTS):
        raise bad_payload(
            f"'EntityReferenceCollection' has {len(given):,} references: BestTimeToEmail takes at most {most:,}, "
            f"of 1 to {MAX_RECIPIENTS} recipients."
        )
    people = [
        await named_record(context, item, f"EntityReferenceCollection[{number}]", _RECIPIENTS, "a recipient")
        for number, item in enumerate(given)
    ]
    advice = await best_time(context.organization, people, context.now)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.BestTimeToEmailResponse",
        "PreferredTime": format_time(advice.moment) if advice.moment else None,
        "Reason": advice.reason,
    }


def unqualified(name: str) -> Failure:
    """Return the failure of a bound operation that is called without its namespace."""
    return bad_payload(f"Request message has unresolved parameters: call Microsoft.Dynamics.CRM.{name}.")


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
    "GetEmailEngagementAggregateCounts": engagement.get_aggregate_counts,
    "GetTrackingTokenEmail": get_tracking_token_email,
    "InstantiateTemplate": instantiate_template,
    "SendEmailFromTemplate": send_email_from_template,
    "UnfollowEmailAttachment": unfollow_email_attachment,
    "ee_ErasePerson": people.erase_person,
    "ee_ExportPerson": people.export_person,
    "ee_GetEmailEngagementSeries": engagement.get_series,
    "ee_RecommendTemplates": recommend_templates,
}
"""Actions of the service."""

BOUND: Mapping[tuple[str, str], Callable[[Context, str, Mapping[str, Any]], Awaitable[Answer]]] = {
    ("email", "SendEmail"): send_email,
}
"""Actions of a row, by table and name; called with their full name, ``Microsoft.Dynamics.CRM.SendEmail``."""

BOUND_FUNCTIONS: Mapping[tuple[str, str], Callable[[Context, str, Mapping[str, Any]], Awaitable[Answer]]] = {
    ("email", "ee_GetEmailHistory"): engagement.get_email_history,
}
"""Functions of a row, by table and name, with the values of their parameters; called like its actions, with GET."""

ON_SETS: Mapping[str, Callable[[Context, Table, Mapping[str, Any]], Awaitable[Answer]]] = {
    "CreateMultiple": bulk.create_multiple,
    "UpdateMultiple": bulk.update_multiple,
    "UpsertMultiple": bulk.upsert_multiple,
}
"""Actions of any set, called with their full name."""
