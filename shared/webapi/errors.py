"""Errors in Dataverse's shape: ``{"error": {"code": "0x...", "message": ...}}``.

Codes are Dataverse's own (Microsoft's "Web service error codes" page); the message names the culprit.
"""

from collections.abc import Mapping

from shared.webapi.http import Response, json_body

MAX_MESSAGE = 2000
"""Characters of a message: what a caller wrote is not given back without end."""


class Failure(Exception):
    """A request ends with this answer; a message of more than `MAX_MESSAGE` characters is cut."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        message = message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 3]}..."
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def shown(name: str, length: int = 80) -> str:
    """Return a name that a caller wrote as a message repeats it: its beginning, where it is longer than a name."""
    return name if len(name) <= length else f"{name[:length]}..."


def error_response(failure: Failure) -> Response:
    """Return the answer that a failure stands for; one that says nothing (401) has an empty body."""
    if not failure.message:
        return Response(failure.status, failure.headers)
    body = json_body({"error": {"code": failure.code, "message": failure.message}})
    return Response(
        failure.status, {"Content-Type": "application/json; odata.metadata=minimal", **failure.headers}, body
    )


def bad_payload(message: str) -> Failure:
    """The body cannot be understood."""
    return Failure(400, "0x80048d19", message)


def bad_query(message: str) -> Failure:
    """A query option cannot be understood or is not supported."""
    return Failure(400, "0x80060888", message)


def invalid(message: str) -> Failure:
    """A value is understood but may not be (InvalidArgument)."""
    return Failure(400, "0x80040203", message)


def unknown_property(name: str, table: str) -> Failure:
    """A column that the table does not have."""
    return Failure(
        400, "0x80060888", f"Could not find a property named '{shown(name)}' on type 'Microsoft.Dynamics.CRM.{table}'."
    )


def unknown_segment(segment: str) -> Failure:
    """A set, function or property in the path that there is not."""
    return Failure(404, "0x8006088a", f"Resource not found for the segment '{shown(segment, 200)}'.")


def does_not_exist(table: str, id: str) -> Failure:
    """A record that there is not (ObjectDoesNotExist)."""
    return Failure(404, "0x80040217", f"{table} With Id = {id} Does Not Exist")


def no_such_key(table: str) -> Failure:
    """An alternate key whose values no record has (RecordNotFoundByEntityKey)."""
    return Failure(404, "0x80060891", f"A record with the specified key values does not exist in {table} entity")


def already_exists() -> Failure:
    """A record that is there already (DuplicateRecord)."""
    return Failure(412, "0x80040237", "A record with matching key values already exists.")


def stale() -> Failure:
    """If-Match named another version (ConcurrencyVersionMismatch)."""
    return Failure(
        412, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided."
    )


def too_many_rows(limit: int) -> Failure:
    """More rows would have to be read than one request may (AggregateQueryRecordLimitExceeded)."""
    return Failure(
        400,
        "0x8004e023",
        f"This query would have to look at more than {limit:,} rows. Narrow the $filter: emails by _ownerid_value, "
        "_regardingobjectid_value or isemailfollowed, what belongs to an email by its id; or sort by createdon desc or "
        "senton desc, which reads only the rows that are shown.",
    )


def too_many_comparisons(weight: int, limit: int) -> Failure:
    """A filter would have to be compared with too many rows."""
    return Failure(
        400,
        "0x8004e023",
        f"The $filter makes {weight:,} comparisons for each row that it looks at, and more than {limit:,} in all. "
        "Shorten it (one column in (a list) is one comparison), or narrow it by a column that stands alone, such as "
        "_ownerid_value, so that fewer rows have to be looked at.",
    )


def too_many_expanded(limit: int) -> Failure:
    """A request's ``$expand`` options lead to more than one request may follow."""
    return bad_query(
        f"The $expand options of this request lead to more than {limit:,} reads, one for each row and level of them: "
        "ask for fewer rows at a time ($top, odata.maxpagesize), or nest fewer $expand."
    )


def too_much_text(limit: int) -> Failure:
    """Texts and files of a request's rows are more than one answer holds."""
    return bad_query(
        f"The texts and files of these rows have more than {limit:,} bytes: ask for fewer rows at a time "
        "(odata.maxpagesize, $top), or leave them out of $select and read them row by row."
    )


def too_much_reading(limit: int) -> Failure:
    """A request has made as many calls to storage as one may."""
    return Failure(
        400,
        "0x80072321",
        f"This request has made {limit:,} calls to storage, the most that one may make: send less in one request.",
    )


def not_implemented(message: str) -> Failure:
    """Something of Dataverse's that is not built here; the message says what to use instead."""
    return Failure(501, "0x80040203", message)


def denied(message: str) -> Failure:
    """The caller may not do this (PrivilegeDenied)."""
    return Failure(403, "0x80040220", message)


def user_disabled(id: str) -> Failure:
    """The caller's own row says that they are shut out (UserNotEnabled)."""
    return Failure(
        403,
        "0x80040225",
        f"The specified user(Id = {id}) is disabled. Consider enabling this user. Additional Details: an Administrator "
        "sets isdisabled of this systemuser to false.",
    )


def disables_oneself() -> Failure:
    """Nobody may shut themselves out (CannotDisableSysAdmin): whoever may disable users then always is one who came in
    last and can let the others in again."""
    return Failure(
        400,
        "0x80041d2f",
        "A user cannot be disabled if they are the only user that has the System Administrator Role. Here nobody sets "
        "isdisabled of their own systemuser: another Administrator may.",
    )


def method_not_allowed(method: str, what: str, allowed: str = "") -> Failure:
    """A method that the resource does not have; `allowed` are those that it has (RFC 9110 demands the header)."""
    hint = f" Use {allowed}." if allowed else ""
    return Failure(405, "0x80060888", f"{method} is not supported on {what}.{hint}", {"Allow": allowed})


def unavailable() -> Failure:
    """Storage does not answer; the same request may succeed soon."""
    return Failure(503, "0x80044151", "The service is busy. Please try again shortly.", {"Retry-After": "5"})


def too_many_requests(code: str, message: str, retry_after: int) -> Failure:
    """A budget is used up (Microsoft's "Service protection API limits"); `retry_after` is whole seconds."""
    return Failure(429, code, message, {"Retry-After": str(retry_after)})


def unexpected() -> Failure:
    """Our own fault (UnExpected); the details are in the log only."""
    return Failure(500, "0x80040216", "An unexpected error occurred.")
