"""Functions and actions: what is described is what is carried out."""

from shared.webapi import actions
from shared.webapi.operations import OPERATIONS, SET
from shared.webapi.tables import TABLES


def test_every_operation_is_carried_out_as_it_is_described() -> None:
    described = {(operation.kind, operation.bound, name) for name, operation in OPERATIONS.items()}
    assert described == {
        *(("Function", "", name) for name in actions.FUNCTIONS),
        *(("Action", "", name) for name in actions.UNBOUND),
        *(("Action", table, name) for table, name in actions.BOUND),
        *(("Function", table, name) for table, name in actions.BOUND_FUNCTIONS),
        *(("Action", SET, name) for name in actions.ON_SETS),
    }


def test_operations_are_bound_to_tables_there_are() -> None:
    assert {operation.bound for operation in OPERATIONS.values()} <= {"", SET, *TABLES}
