"""Who may change what: sellers what they own, managers everything, administrators the organization as well."""

from collections.abc import Mapping
from typing import Any

from shared.services.caller import Caller


class Denied(Exception):
    """The caller may not do this; the message says who may."""


def demand_write(caller: Caller, row: Mapping[str, Any], what: str) -> None:
    """Raise `Denied` unless the caller owns `row` or manages; `what` names it to the caller.

    A row without an owner belongs to whoever made it.
    """
    owner = row.get("ownerid") or row.get("createdby")
    if not caller.manages and owner != caller.user:
        raise Denied(f"{what} belongs to another user: its owner, a Manager or an Administrator may change it.")


def demand_ownership(caller: Caller, owner: str) -> None:
    """Raise `Denied` where a caller who does not manage makes something that somebody else is to own."""
    if not caller.manages and owner != caller.user:
        raise Denied("Only a Manager or an Administrator may create records that another user owns.")


def demand_sender(caller: Caller, table: str, id: str) -> None:
    """Raise `Denied` where the caller may not send as this party: sellers send as themselves."""
    if table == "systemuser" and id != caller.user and not caller.manages:
        raise Denied("Only a Manager or an Administrator may send email as another user.")


def demand_administrator(caller: Caller, what: str) -> None:
    """Raise `Denied` unless the caller administers the organization."""
    if not caller.administers:
        raise Denied(f"Only an Administrator may change {what}.")
