"""What is shown to sellers: action cards, and what each made of theirs."""

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
        required(time("startdate", label="Start Date", about="When it is shown; a later time snoozes it.")),
        required(choice("state", _STATES, 0, label="Action Card State", about="1 dismisses it.")),
        *all_fixed(
            text("title", 200, about="What happened, naming the recipient."),
            memo("description", 8192, label="Card Description", about="What happened, naming the subject."),
            lookup("regardingobjectid", _REGARDING, label="Regarding", about="The email."),
            lookup("recordid", {}, label="RecordId", about="The email, once more."),
            lookup("parentregardingobjectid", {}, label="ParentRegardingObjectId", about="Not filled."),
            lookup("cardtypeid", {}, label="Card Type", about="Not filled: cardtype says the kind."),
            integer("cardtype", label="CardType ENUM", about="The kind of card."),
            integer("priority", about="Higher is shown first."),
            time("expirydate", label="Expiry Date", about="When it is no longer shown."),
            choice("source", {1: "CRM", 2: "Exchange"}, 1, label="Action Card Source", about="Always CRM."),
            flag("visibility", False, "Private", "Public", label="Visibility", about="Always private."),
            memo("referencetokens", 8192, label="Reference Tokens", about="Not filled."),
            memo("data", 8192, label="Data Associated with Card Commandbar Actions", about="Not filled."),
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
    about="An alert or a reminder, made by the service; its owner dismisses and snoozes it.",
)

ACTIONCARDUSERSTATE = Table(
    "actioncarduserstate",
    "actioncarduserstates",
    "actioncarduserstateid",
    "",
    (
        guid("actioncarduserstateid", label="ActionCardUserState", about="The key."),
        once(lookup("actioncardid", {"actioncardid": "actioncard"}, label="ActionCardId", about="The card.")),
        required(time("startdate", label="Start Date", about="When its owner wants to see the card again.")),
        once(
            required(choice("state", _STATES, 0, label="Action Card State", about="What its owner made of the card."))
        ),
        *(column for column in audit() if column.name == "ownerid"),
        version(),
    ),
    label="ActionCardUserState",
    plural="ActionCardUserStates",
    schema_name="ActionCardUserState",
    about="One user's snoozing or dismissal of a card.",
)

TABLES = (ACTIONCARD, ACTIONCARDUSERSTATE)
