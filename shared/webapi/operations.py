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
    """A function or an action. `parameters` and `returns`, the properties of its response, are EDM types by name; with
    a ``?`` behind the type it may be null or left out. No `returns`: 204. `bound` is the table that it is called on a
    row of (``emails(id)/Microsoft.Dynamics.CRM.SendEmail``), or `SET` where it is called on any set whose rows clients
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

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _ALL}


def demand_parameters(sent: Mapping[str, Any], name: str) -> None:
    """Raise `Failure` 400 naming a parameter that the operation `name` does not have; annotations are passed over."""
    for parameter in sent:
        if parameter not in OPERATIONS[name].parameters and "@" not in parameter:
            raise bad_payload(
                f"The parameter '{parameter}' in the request payload is not a valid parameter of '{name}'."
            )
