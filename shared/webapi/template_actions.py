"""InstantiateTemplate and SendEmailFromTemplate: mail made of a template (Microsoft's Web API action reference)."""

from collections.abc import Mapping
from typing import Any

from shared.engagement.options import SENDER
from shared.storage import undo
from shared.storage.account import Conflict
from shared.webapi import finding, writing
from shared.webapi.context import Context
from shared.webapi.entities import named_record
from shared.webapi.errors import already_exists, bad_payload, invalid
from shared.webapi.keys import RowKey
from shared.webapi.operations import demand_parameters
from shared.webapi.tables import TABLES
from shared.webapi.tables.templates import TYPES
from shared.webapi.templates import USER, fill, read
from shared.webapi.values import parse_guid

_EMAIL, _TEMPLATE = TABLES["email"], TABLES["template"]
_TYPE = "Microsoft.Dynamics.CRM.email"
_WRITTEN_BY_THE_TEMPLATE = frozenset({"subject", "description", "templateid@odata.bind"})


async def instantiate_template(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """InstantiateTemplate: ``value`` holds one email that is not saved, as it may be posted to ``emails``.

    It writes nothing, so it is the preview as well. The user in it is the caller.
    """
    demand_parameters(sent, "InstantiateTemplate")
    template = await _template(context, sent, "InstantiateTemplate")
    kind = sent.get("ObjectType")
    if kind not in TYPES:
        raise bad_payload(f"InstantiateTemplate needs the parameter 'ObjectType', one of {', '.join(TYPES)}.")
    record = _guid(sent, "ObjectId", "InstantiateTemplate", f"the id of the {kind}")
    _demand_fits(template, kind, "ObjectType")
    subject, body = await fill(context, template, kind, record, record if kind == USER else context.caller.user)
    email = {
        "@odata.type": f"#{_TYPE}",
        "subject": subject,
        "description": body,
        "templateid@odata.bind": f"/{_TEMPLATE.set}({template['templateid']})",
    }
    if kind != USER:
        email[f"regardingobjectid_{kind}_email@odata.bind"] = f"/{TABLES[kind].set}({record})"
    return {"@odata.context": f"{context.base}/$metadata#{_EMAIL.set}", "value": [email]}


async def send_email_from_template(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """SendEmailFromTemplate: the email in ``Target`` with a template's subject and body, about ``Regarding``, is made
    and sent; both or nothing. Its sender is the user whom the template speaks of. Returns the email's id."""
    demand_parameters(sent, "SendEmailFromTemplate")
    template = await _template(context, sent, "SendEmailFromTemplate")
    kind, record = await named_record(context, sent.get("Regarding"), "Regarding", TYPES, "a record that mail is about")
    _demand_fits(template, kind, "Regarding")
    given = {name: value for name, value in _target(sent).items() if name not in _WRITTEN_BY_THE_TEMPLATE}
    payload = await writing.prepare(context, _EMAIL, given, RowKey(), creating=True)
    senders = [party.id for party in payload.parties or () if party.mask == SENDER and party.table == USER]
    user = record if kind == USER else (senders or [context.caller.user])[0]
    payload.columns["subject"], payload.lazy["description"] = await fill(context, template, kind, record, user)
    payload.columns["templateid"] = template["templateid"]
    if kind != USER:
        payload.columns |= {"regardingobjectid": record, "regardingobjectid_type": kind}
    # What fails on the way takes back what it wrote; what is killed leaves no email, or one that is on its way.
    async with undo.scope():
        try:
            email = await writing.make_and_send(context, payload)
        except Conflict:
            raise already_exists() from None
    return {
        "@odata.context": f"{context.base}/$metadata#{_EMAIL.set}/$entity",
        "@odata.type": f"#{_TYPE}",
        _EMAIL.id: email,
    }


async def _template(context: Context, sent: Mapping[str, Any], action: str) -> finding.Row:
    return await read(context, _guid(sent, "TemplateId", action, "the id of the template"))


def _guid(sent: Mapping[str, Any], name: str, action: str, what: str) -> str:
    value = sent.get(name)
    found = parse_guid(value) if isinstance(value, str) else None
    if found is None:
        raise bad_payload(f"{action} needs the parameter '{name}', {what}.")
    return found


def _demand_fits(template: finding.Row, kind: str, parameter: str) -> None:
    """Raise `Failure` 400 where a template is for another table; one for users is for any record."""
    wanted = template["templatetypecode"]
    if wanted not in (kind, USER):
        raise invalid(
            f"The template '{template['title']}' is for the table '{wanted}': '{parameter}' is '{kind}'. Choose a "
            f"record of {wanted}, or a template for {kind}."
        )


def _target(sent: Mapping[str, Any]) -> dict[str, Any]:
    target = sent.get("Target")
    kind = target.get("@odata.type", _TYPE) if isinstance(target, dict) else None
    if not isinstance(target, dict) or not isinstance(kind, str) or kind.removeprefix("#") != _TYPE:
        raise bad_payload(
            "SendEmailFromTemplate needs the parameter 'Target', the email to send: "
            f'{{"@odata.type": "{_TYPE}", "email_activity_parties": [..]}}.'
        )
    return target
