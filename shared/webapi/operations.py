"""The functions and actions of the Web API as data: what they are bound to, take and return. Checking parameters and
``$metadata`` both read it; `shared.webapi.actions` carries them out.

Names and parameters are Dataverse's (Microsoft's Web API action and function references).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.webapi.errors import bad_payload

ROWS = "Collection(self)"
"""The type of a parameter that holds rows of the table whose set the operation is called on."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A function or an action. `parameters` and `returns`, the properties of its response, are EDM types by name, or
    ``mscrm.`` and a name of `OPEN_TYPES` or `COMPLEX_TYPES`; with a ``?`` behind the type it may be null or left out.
    No `returns`: 204. `bound` is the table that it is called on a row of
    (``emails(id)/Microsoft.Dynamics.CRM.SendEmail``), or `SET` where it is called on any set whose rows clients
    write."""

    name: str
    kind: Literal["Function", "Action"] = "Action"
    parameters: Mapping[str, str] = field(default_factory=dict)
    returns: Mapping[str, str] = field(default_factory=dict)
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
    Operation("CreateMultiple", parameters={"Targets": ROWS}, returns={"Ids": "Collection(Edm.Guid)"}, bound=SET),
    Operation("UpdateMultiple", parameters={"Targets": ROWS}, bound=SET),
    Operation("UpsertMultiple", parameters={"Targets": ROWS}, bound=SET),
)

OPEN_TYPES: Mapping[str, Mapping[str, str]] = {"QueryExpression": {"EntityName": "Edm.String"}}
"""Types of parameters that hold more than the properties said here."""

COMPLEX_TYPES: Mapping[str, Mapping[str, str]] = {
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
                f"The parameter '{parameter}' in the request payload is not a valid parameter of '{name}'."
            )
