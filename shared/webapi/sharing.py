"""Rows that are one user's alone: who sees them, and who changes those that are everybody's.

Dataverse's rule for templates (Microsoft's "Permissions required for e-mail-related tasks"): anybody makes personal
ones, the managing roles make and edit those of the organization.
"""

from collections.abc import Mapping
from typing import Any

from shared.services.caller import Caller
from shared.services.rights import Denied
from shared.webapi.schema import Table


def may_see(caller: Caller, table: Table, row: Mapping[str, Any]) -> bool:
    """Return whether the caller may read and use a row, stored or read."""
    return not _is_private(table, row) or caller.administers or row.get("ownerid") == caller.user


def demand_sight(caller: Caller, table: Table, row: Mapping[str, Any]) -> None:
    """Raise `Denied` unless the caller may read and use a row."""
    if not may_see(caller, table, row):
        raise Denied(f"This {table.logical} is personal: only its owner and Administrators may read and use it.")


def demand_publisher(caller: Caller, table: Table, row: Mapping[str, Any]) -> None:
    """Raise `Denied` where a row is everybody's, as it was or as it would be, and the caller does not manage."""
    if table.private_where and not _is_private(table, row) and not caller.manages:
        raise Denied(
            f"This {table.logical} is the organization's ('{table.private_where}' false): only a Manager or an "
            "Administrator may make or change it."
        )


def _is_private(table: Table, row: Mapping[str, Any]) -> bool:
    return bool(table.private_where) and row.get(table.private_where) is not False
