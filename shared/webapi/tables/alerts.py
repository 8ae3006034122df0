"""What is shown to sellers: action cards, and what each made of theirs."""

from shared.engagement.cards import DESCRIPTION_LENGTH, KINDS, TITLE_LENGTH
from shared.webapi.schema import (
    Collection,
    Table,
    all_fixed,
    audit,
    choice,
    flag,
    from_sales,
    guid,
    integer,
    lookup,
    memo,
    once,
    required,
    text,
    time,
    version,
)

_KINDS = ", ".join(f"{kind.cardtype} {name}" for name, kind in KINDS.items())
_DATA = """What can be done from the card: `{"actions":[{"name":"openemail","entity":"email","id":".."}]}`."""
_STATES = {0: "Active", 1: "Dismissed", 2: "Completed"}
_REGARDING = {
    f"regardingobjectid_{target}{suffix}": target
    for suffix in ("_actioncard", "")
    for target in ("email", "account", "contact", "lead")
}

ACTIONCARD = Table(
    "actioncard",
    "actioncards",
    "actioncardid",
    "title",
    (
        guid("actioncardid", label="Action Card", about="The key, made of the email and the kind of card."),
        required(time("startdate", label="Start Date", about="From when on it is shown; a later time snoozes it.")),
        required(choice("state", _STATES, 0, label="Action Card State", about="1 dismisses it, 2 says it is done.")),
        *all_fixed(
            text("title", TITLE_LENGTH, about="Who did what with which mail; plain text."),
            memo(
                "description",
                DESCRIPTION_LENGTH,
                label="Card Description",
                about="Who did what with which mail, and when (UTC); plain text.",
            ),
            lookup("regardingobjectid", _REGARDING, label="Regarding", about="The email."),
            lookup("recordid", {}, label="RecordId", about="The email, once more."),
            lookup("parentregardingobjectid", {}, label="ParentRegardingObjectId", about="Not filled."),
            lookup("cardtypeid", {}, label="Card Type", about="Not filled: cardtype says the kind."),
            integer("cardtype", label="CardType ENUM", about="The kind of card."),
            integer("priority", about="Higher is shown first."),
            time("expirydate", label="Expiry Date", about="When it is of no more use."),
            choice("source", {1: "CRM", 2: "Exchange"}, 1, label="Action Card Source", about="Always CRM."),
            flag("visibility", False, "Private", "Public", label="Visibility", about="Always private."),
            memo("referencetokens", 8192, label="Reference Tokens", about="Not filled."),
            memo("data", 8192, label="Data Associated with Card Commandbar Actions", about=_DATA),
            from_sales(text("msdyn_regardingobjectid", 36, label="regardingobjectid", about="Not filled.")),
            from_sales(text("msdyn_regardingobjectlogicalname", 128, label="Regarding Table", about="Not filled.")),
            *audit(),
        ),
    ),
    creatable=False,
    collections={"ActionCardUserState_ActionCard": Collection("actioncarduserstate", "actioncardid")},
    label="Action Card",
    plural="Action Cards",
    schema_name="ActionCard",
    about="An alert or a reminder, one per email and kind, made by the service; its owner dismisses and snoozes it. "
    "Expired cards stay until they are deleted: filter with `expirydate ge ..`. "
    f"Kinds by cardtype: {_KINDS}.",
)

ACTIONCARDUSERSTATE = Table(
    "actioncarduserstate",
    "actioncarduserstates",
    "actioncarduserstateid",
    "",
    (
        guid("actioncarduserstateid", label="ActionCardUserState", about="The key, made of the card and the user."),
        once(
            lookup(
                "actioncardid",
                {"actioncardid": "actioncard"},
                label="ActionCardId",
                about="The card; needed.",
            )
        ),
        required(time("startdate", label="Start Date", about="When its owner wants to see the card again.")),
        once(
            required(choice("state", _STATES, 0, label="Action Card State", about="What its owner made of the card."))
        ),
        *(once(column) for column in audit() if column.name == "ownerid"),
        version(),
    ),
    label="ActionCardUserState",
    plural="ActionCardUserStates",
    schema_name="ActionCardUserState",
    about="What one user made of a card: one row for both, which a second POST replaces. Made by the card's owner, it "
    "changes the card as well; other users read it beside the card.",
)

TABLES = (ACTIONCARD, ACTIONCARDUSERSTATE)
