"""The reference page of the tables, made from the schema."""

from local.reference import PAGE, page
from shared.webapi.operations import OPERATIONS
from shared.webapi.tables import TABLES


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/tables.md is out of date: run make docs"


def test_every_table_column_collection_and_operation_is_on_it() -> None:
    sections = {section.partition("\n")[0]: section for section in page().split("\n## ")[1:]}
    for table in TABLES.values():
        for name in (*table.by_name, *table.by_navigation, *table.collections):
            assert f"`{name}`" in sections[table.logical]
    assert all(f"`{name}`" in sections["functions and actions"] for name in OPERATIONS)
