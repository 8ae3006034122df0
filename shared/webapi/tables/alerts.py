"""What is shown to sellers: action cards (the Sales table reference of actioncard)."""

from shared.webapi.schema import (
    Column,
    Table,
    Type,
    audit,
    choice,
    fixed,
    flag,
    guid,
    integer,
    lookup,
    memo,
    text,
    time,
)

ACTIONCARD = Table(
    "actioncard",
    "actioncards",
    "actioncardid",
    "title",
    (
        guid("actioncardid"),
        fixed(text("title", 200)),
        fixed(memo("description", 8192)),
        fixed(integer("cardtype")),
        fixed(integer("priority")),
        time("startdate"),
        fixed(time("expirydate")),
        fixed(
            lookup(
                "regardingobjectid",
                {f"regardingobjectid_{target}": target for target in ("email", "account", "contact", "lead")},
            )
        ),
        choice("state", {0: "Active", 1: "Dismissed", 2: "Completed"}, 0),
        fixed(choice("source", {1: "CRM", 2: "Exchange"}, 1)),
        fixed(flag("visibility", False, yes="Private", no="Public")),
        fixed(memo("referencetokens", 8192)),
        fixed(memo("data", 8192)),
        *(fixed(column) for column in audit() if column.name != "versionnumber"),
        fixed(Column("versionnumber", Type.BIGINT)),
    ),
    creatable=False,
)

TABLES = (ACTIONCARD,)
