"""The functions and actions of the Web API as data: what they are bound to, take and return. Checking parameters and
``$metadata`` both read it; `shared.webapi.actions` carries them out.

Names and parameters are Dataverse's (Microsoft's Web API action and function references).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.engagement.figures import COUNTS
from shared.webapi.errors import bad_payload, bad_query, shown
from shared.webapi.filters import substitute_aliases

ROWS = "Collection(self)"
"""The type of a parameter that holds rows of the table whose set the operation is called on."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A function or an action. `parameters` and `returns`, the properties of its response, are EDM types by name, or
    ``mscrm.`` and a name of `OPEN_TYPES` or `COMPLEX_TYPES`; with a ``?`` behind the type it may be null or left out.
    `returned` is a type that it returns instead. Neither: 204. `bound` is the table that it is called on a row of
    (``emails(id)/Microsoft.Dynamics.CRM.SendEmail``), or `SET` where it is called on any set whose rows clients
    write."""

    name: str
    kind: Literal["Function", "Action"] = "Action"
    parameters: Mapping[str, str] = field(default_factory=dict)
    returns: Mapping[str, str] = field(default_factory=dict)
    returned: str = ""
    bound: str = ""


SET = "*"

_ALL = (
    Operation(
        "WhoAmI",
        "Function",
        returns={"BusinessUnitId": "Edm.Guid", "UserId": "Edm.Guid", "OrganizationId": "Edm.Guid"},
    ),
    Operation(
        "SendEmail",
        parameters={"IssueSend": "Edm.Boolean", "TrackingToken": "Edm.String?"},
        returns={"Subject": "Edm.String?"},
        bound="email",
    ),
    Operation("FollowEmailAttachment", parameters={"ActivityMimeAttachmentId": "Edm.String"}),
    Operation("UnfollowEmailAttachment", parameters={"ActivityMimeAttachmentId": "Edm.String"}),
    Operation("GetTrackingTokenEmail", parameters={"Subject": "Edm.String?"}, returns={"TrackingToken": "Edm.String?"}),
    Operation(
        "BestTimeToEmail",
        parameters={"EntityReferenceCollection": "Collection(Edm.EntityType)"},
        returns={"PreferredTime": "Edm.DateTimeOffset?", "Reason": "Edm.String"},
    ),
    Operation(
        "InstantiateTemplate",
        parameters={"TemplateId": "Edm.Guid", "ObjectType": "Edm.String", "ObjectId": "Edm.Guid"},
        returned="Collection(mscrm.email)",
    ),
    Operation(
        "SendEmailFromTemplate",
        parameters={"TemplateId": "Edm.Guid", "Regarding": "Edm.EntityType", "Target": "mscrm.email"},
        returned="mscrm.email",
    ),
    Operation(
        "ee_RecommendTemplates",
        parameters={"ObjectType": "Edm.String"},
        returns={"Templates": "Collection(mscrm.ee_RecommendedTemplate)"},
    ),
    Operation(
        "BulkDelete",
        parameters={
            "QuerySet": "Collection(mscrm.QueryExpression)",
            "JobName": "Edm.String?",
            "SendEmailNotification": "Edm.Boolean?",
            "ToRecipients": "Collection(mscrm.activityparty)?",
            "CCRecipients": "Collection(mscrm.activityparty)?",
            "RecurrencePattern": "Edm.String?",
            "StartDateTime": "Edm.DateTimeOffset?",
            "SourceImportId": "Edm.Guid?",
        },
        returns={"JobId": "Edm.Guid"},
    ),
    Operation(
        "GetEmailEngagementAggregateCounts",
        parameters={"Target": "Edm.EntityType", "From": "Edm.DateTimeOffset?", "To": "Edm.DateTimeOffset?"},
        returns=dict.fromkeys(COUNTS, "Edm.Int32"),
    ),
    Operation(
        "ee_GetEmailEngagementSeries",
        parameters={
            "Target": "Edm.EntityType",
            "From": "Edm.DateTimeOffset?",
            "To": "Edm.DateTimeOffset?",
            "TimeZone": "Edm.String?",
        },
        returns={
            "TimeZone": "Edm.String",
            "From": "Edm.DateTimeOffset",
            "To": "Edm.DateTimeOffset",
            "Days": "Collection(mscrm.ee_EngagementDay)",
            "Hours": "Collection(mscrm.ee_EngagementHour)",
        },
    ),
    Operation(
        "ee_GetEmailHistory",
        "Function",
        parameters={"TimeZone": "Edm.String?"},
        returns={
            "StatusText": "Edm.String?",
            "TimeZone": "Edm.String",
            "IsFollowed": "Edm.Boolean",
            "FollowReason": "Edm.String?",
            "Totals": "mscrm.ee_EmailTotals",
            "Interactions": "Collection(mscrm.ee_EmailEvent)",
            "MachineInteractions": "Collection(mscrm.ee_EmailEvent)",
            "MergedInteractions": "Collection(mscrm.ee_EmailEvent)",
            "Links": "Collection(mscrm.ee_EmailLink)",
            "Attachments": "Collection(mscrm.ee_EmailFile)",
            "InteractionCount": "Edm.Int32",
            "IsCapped": "Edm.Boolean",
            "AllInteractions": "Edm.String",
        },
        bound="email",
    ),
    Operation(
        "ee_ErasePerson",
        parameters={"Target": "Edm.EntityType", "DeleteRecord": "Edm.Boolean?"},
        returns={"Status": "Edm.String", "PercentComplete": "Edm.Int32", "EmailCount": "Edm.Int32"},
    ),
    Operation("ee_ExportPerson", parameters={"Target": "Edm.EntityType"}, returns={"Document": "Edm.String"}),
    Operation("CreateMultiple", parameters={"Targets": ROWS}, returns={"Ids": "Collection(Edm.Guid)"}, bound=SET),
    Operation("UpdateMultiple", parameters={"Targets": ROWS}, bound=SET),
    Operation("UpsertMultiple", parameters={"Targets": ROWS}, bound=SET),
)

OPEN_TYPES: Mapping[str, Mapping[str, str]] = {"QueryExpression": {"EntityName": "Edm.String"}}
"""Types of parameters that hold more than the properties said here."""

_POINT = {name.removeprefix("Total"): "Edm.Int32" for name in COUNTS}

COMPLEX_TYPES: Mapping[str, Mapping[str, str]] = {
    "ee_EngagementDay": {"Date": "Edm.Date", **_POINT},
    "ee_EngagementHour": {"Weekday": "Edm.Int32", "Hour": "Edm.Int32", **_POINT},
    "ee_EmailTotals": {
        "Opens": "Edm.Int32",
        "LinkClicks": "Edm.Int32",
        "AttachmentOpens": "Edm.Int32",
        "Replies": "Edm.Int32",
        "ProxyOpens": "Edm.Int32",
        "MachineOpens": "Edm.Int32",
        "MachineClicks": "Edm.Int32",
        "LastOpened": "Edm.DateTimeOffset?",
        "LastOpenedText": "Edm.String?",
    },
    "ee_EmailEvent": {
        "InteractionId": "Edm.Guid",
        "Type": "Edm.Int32",
        "TypeText": "Edm.String",
        "Who": "Edm.String?",
        "Address": "Edm.String?",
        "Time": "Edm.DateTimeOffset",
        "TimeText": "Edm.String",
        "LinkText": "Edm.String?",
        "LinkTarget": "Edm.String?",
        "FileName": "Edm.String?",
        "Device": "Edm.String?",
        "Label": "Edm.Int32",
        "LabelText": "Edm.String",
        "Reason": "Edm.String?",
        "ReplyId": "Edm.Guid?",
        "Repetitions": "Edm.Int32",
        "RepeatOf": "Edm.Guid?",
    },
    "ee_EmailLink": {
        "Text": "Edm.String?",
        "Target": "Edm.String",
        "IsFollowed": "Edm.Boolean",
        "NotFollowedReason": "Edm.String?",
        "Clicks": "Edm.Int32",
        "MachineClicks": "Edm.Int32",
        "LastClicked": "Edm.DateTimeOffset?",
        "LastClickedText": "Edm.String?",
    },
    "ee_EmailFile": {
        "FileName": "Edm.String",
        "Size": "Edm.Int32",
        "IsFollowed": "Edm.Boolean",
        "NotFollowedReason": "Edm.String?",
        "Opens": "Edm.Int32",
        "MachineOpens": "Edm.Int32",
        "LastOpened": "Edm.DateTimeOffset?",
        "LastOpenedText": "Edm.String?",
    },
    "ee_RecommendedTemplate": {
        "TemplateId": "Edm.Guid",
        "Title": "Edm.String",
        "LanguageCode": "Edm.Int32?",
        "IsRecommended": "Edm.Boolean",
        "ReplyRate": "Edm.Int32",
        "ReplyRateLow": "Edm.Int32",
        "ReplyRateHigh": "Edm.Int32",
        "OpenRate": "Edm.Int32",
        "OpenRateLow": "Edm.Int32",
        "OpenRateHigh": "Edm.Int32",
        "ClickRate": "Edm.Int32",
        "FollowedEmails": "Edm.Int32",
        "Evidence": "Edm.Int32",
        "Reason": "Edm.String",
    },
}
"""Types of what operations return, by name and property, as ``mscrm.<name>`` or ``Collection(mscrm.<name>)``."""

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}


def demand_parameters(sent: Mapping[str, Any], name: str) -> None:
    """Raise `Failure` 400 naming a parameter that the operation `name` does not have; annotations are passed over."""
    for parameter in sent:
        if parameter not in OPERATIONS[name].parameters and "@" not in parameter:
            raise bad_payload(
                f"The parameter '{shown(parameter)}' in the request payload is not a valid parameter of '{name}'."
            )


def parse_arguments(name: str, text: str, options: Mapping[str, str]) -> dict[str, str | None]:
    """Return what stands in the parentheses of the function `name`: texts, or parameter aliases (``@p``) of the query,
    by parameter (OData 4.0 URL Conventions, 5.1.1.2); `options` are the query's. Raises `Failure` 400 naming what is
    wrong.

    >>> parse_arguments("ee_GetEmailHistory", "TimeZone=@zone", {"@zone": "'Europe/Berlin'"})
    {'TimeZone': 'Europe/Berlin'}
    """
    for parameter in OPERATIONS[name].parameters:
        if parameter in options:
            raise bad_query(f"'{parameter}' stands behind the '?': write it in parentheses, {name}({parameter}=...).")
    given = substitute_aliases(text, options)
    if not given.strip():
        return {}
    if not _ARGUMENTS.fullmatch(given):
        raise bad_query(
            f"'({text[:80]})' cannot be read: '{name}' takes parameters such as (TimeZone='Europe/Berlin')."
        )
    found: dict[str, str | None] = {}
    for parameter, value in _ARGUMENT.findall(given):
        if parameter not in OPERATIONS[name].parameters:
            raise bad_query(f"The parameter '{shown(parameter)}' is not a valid parameter of '{name}'.")
        if parameter in found:
            raise bad_query(f"The parameter '{parameter}' of '{name}' is given twice.")
        found[parameter] = None if value == "null" else value[1:-1].replace("''", "'")
    return found


_ARGUMENT = re.compile(r"(?<!\w)(\w++)\s*+=\s*+('(?:[^']|'')*'|null)")
_ARGUMENTS = re.compile(rf"\s*{_ARGUMENT.pattern}\s*(?:,\s*{_ARGUMENT.pattern}\s*)*")
