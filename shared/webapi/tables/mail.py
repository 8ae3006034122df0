"""Mail: email, its parties and attachments, and what recipients did with it (Microsoft's table references).

Columns that the service keeps (counters, follow state, delivery) are read-only here even where Dataverse's metadata
calls them writable: nobody but the service can know them.
"""

from shared.webapi.schema import (
    Collection,
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

_PRIORITIES = {0: "Low", 1: "Normal", 2: "High"}
_REGARDING = {
    f"regardingobjectid_{target}{suffix}": target
    for target in ("account", "contact", "lead")
    for suffix in ("_email", "")
}
"""Real clients use both spellings: the documented one and the one that ``activitypointer`` has."""

_AUDIT = audit()

EMAIL = Table(
    "email",
    "emails",
    "activityid",
    "subject",
    (
        guid("activityid"),
        text("subject", 800),
        Column("description", Type.MEMO, length=2**30, lazy=True),
        flag("directioncode", True, yes="Outgoing", no="Incoming"),
        Column("statecode", Type.STATE, options={0: "Open", 1: "Completed", 2: "Canceled"}, default=0, required=True),
        Column(
            "statuscode",
            Type.STATUS,
            options={
                1: "Draft",
                2: "Completed",
                3: "Sent",
                4: "Received",
                5: "Canceled",
                6: "Pending Send",
                7: "Sending",
                8: "Failed",
            },
            states={1: 0, 2: 1, 3: 1, 4: 1, 5: 2, 6: 1, 7: 1, 8: 0},
            default=1,
            required=True,
        ),
        flag("followemailuserpreference", False, yes="True", no="False"),
        fixed(flag("isemailfollowed", False)),
        fixed(memo("ee_followreason", 4000)),
        fixed(text("ee_statustext", 4000)),
        fixed(memo("ee_failurereason", 4000)),
        fixed(integer("opencount", 0)),
        fixed(time("lastopenedtime")),
        fixed(integer("linksclickedcount", 0)),
        fixed(integer("attachmentopencount", 0)),
        fixed(integer("replycount", 0)),
        fixed(integer("ee_proxyopencount", 0)),
        fixed(integer("ee_machineopencount", 0)),
        fixed(integer("ee_machineclickcount", 0)),
        time("delayedemailsendtime"),
        time("emailreminderexpirytime"),
        choice(
            "emailremindertype",
            {
                0: "If I do not receive a reply by",
                1: "If the email is not opened by",
                2: "Remind me anyways at",
            },
            0,
        ),
        text("emailremindertext", 1250),
        fixed(
            choice(
                "emailreminderstatus", {0: "NotSet", 1: "ReminderSet", 2: "ReminderExpired", 3: "ReminderInvalid"}, 0
            )
        ),
        fixed(flag("isemailreminderset", False)),
        guid("reminderactioncardid"),
        guid("emailtrackingid"),
        guid("conversationtrackingid"),
        choice("prioritycode", _PRIORITIES, 1),
        choice("deliveryprioritycode", _PRIORITIES, 1),
        flag("deliveryreceiptrequested", False),
        flag("readreceiptrequested", False),
        time("scheduledstart"),
        time("scheduledend"),
        time("actualstart"),
        fixed(time("actualend")),
        fixed(time("senton")),
        text("category", 250),
        text("subcategory", 250),
        fixed(text("sender", 250)),
        fixed(memo("torecipients", 500)),
        fixed(text("messageid", 320)),
        fixed(text("inreplyto", 320)),
        text("trackingtoken", 50),
        fixed(text("conversationindex", 2048)),
        fixed(text("submittedby", 250)),
        fixed(choice("notifications", {0: "None", 1: "Attachments not all saved", 2: "Truncated body"}, 0)),
        fixed(time("postponeemailprocessinguntil")),
        time("sortdate"),
        memo("msdyn_emailengagementinteractions", 4000),
        fixed(integer("deliveryattempts", 0)),
        fixed(integer("attachmentcount", 0)),
        fixed(
            choice(
                "correlationmethod",
                {
                    0: "None",
                    1: "Skipped",
                    2: "XHeader",
                    3: "InReplyTo",
                    4: "TrackingToken",
                    5: "ConversationIndex",
                    6: "SmartMatching",
                    7: "CustomCorrelation",
                },
                0,
            )
        ),
        fixed(Column("activitytypecode", Type.ENTITY_NAME, length=64, default="email")),
        lookup("regardingobjectid", _REGARDING),
        lookup("parentactivityid", {"parentactivityid": "email", "parentactivityid_email": "email"}),
        fixed(lookup("correlatedactivityid", {"CorrelatedActivityId_Email": "email"})),
        *_AUDIT,
    ),
    kept="email",
    collections={
        "email_activity_parties": Collection("activityparty", "activityid"),
        "email_activity_mime_attachment": Collection("activitymimeattachment", "objectid"),
    },
)

ACTIVITYPARTY = Table(
    "activityparty",
    "activityparties",
    "activitypartyid",
    "addressused",
    (
        guid("activitypartyid"),
        fixed(
            lookup(
                "activityid",
                {"activityid_email": "email", "activityid_activitypointer": "email"},
            )
        ),
        lookup(
            "partyid",
            {
                "partyid_contact": "contact",
                "partyid_account": "account",
                "partyid_lead": "lead",
                "partyid_systemuser": "systemuser",
                "partyid_queue": "queue",
            },
        ),
        choice("participationtypemask", {1: "Sender", 2: "To Recipient", 3: "CC Recipient", 4: "BCC Recipient"}),
        text("addressused", 320),
        text("unresolvedpartyname", 200),
        fixed(Column("versionnumber", Type.BIGINT)),
    ),
    kept="child",
    prefix="party:",
    parent="activityid",
    writers="nobody",
)

ACTIVITYMIMEATTACHMENT = Table(
    "activitymimeattachment",
    "activitymimeattachments",
    "activitymimeattachmentid",
    "filename",
    (
        guid("activitymimeattachmentid"),
        lookup(
            "objectid",
            {"objectid_email": "email", "objectid_activitypointer": "email", "objectid": "email"},
        ),
        Column("objecttypecode", Type.ENTITY_NAME, length=64, default="email"),
        text("filename", 255),
        text("mimetype", 256),
        Column("body", Type.MEMO, length=2**30, lazy=True),
        text("subject", 2000),
        text("attachmentcontentid", 250),
        fixed(integer("attachmentnumber", high=1_000_000_000)),
        fixed(integer("filesize", 0)),
        fixed(flag("isfollowed", False)),
        fixed(text("ee_notfollowedreason", 1000)),
        fixed(text("anonymouslink", 2000)),
        fixed(Column("versionnumber", Type.BIGINT)),
    ),
    kept="child",
    prefix="attachment:",
    parent="objectid",
)

INTERACTIONFOREMAIL = Table(
    "interactionforemail",
    "interactionforemails",
    "interactionforemailid",
    "name",
    (
        guid("interactionforemailid"),
        fixed(text("name", 100)),
        fixed(choice("interactiontype", {0: "Email Open", 1: "Link Open", 2: "Attachment Open", 3: "Email Reply"}, 0)),
        fixed(time("emailinteractiontime")),
        fixed(guid("emailactivityid")),
        fixed(text("interactedcomponenttext", 1250)),
        fixed(text("interactionuseragent", 1250)),
        fixed(text("interactionlocation", 1250)),
        fixed(text("interactionrepliedby", 1250)),
        fixed(text("interactionreplyid", 1250)),
        fixed(guid("emailinteractionreplyid")),
        fixed(text("emailaddress", 1250)),
        fixed(guid("interactionpartyid")),
        fixed(choice("ee_label", {0: "Person", 1: "Proxy", 2: "Machine", 3: "Sender"}, 0)),
        fixed(memo("ee_labelreason", 4000)),
        fixed(text("ee_device", 250)),
        fixed(guid("ee_duplicateof")),
        fixed(Column("statecode", Type.STATE, options={0: "Active", 1: "Inactive"}, default=0)),
        fixed(Column("statuscode", Type.STATUS, options={1: "Active", 2: "Inactive"}, states={1: 0, 2: 1}, default=1)),
        *(fixed(column) for column in _AUDIT if column.name in ("createdon", "ownerid", "versionnumber")),
    ),
    kept="child",
    prefix="interaction:",
    parent="emailactivityid",
    writers="nobody",
    order="emailinteractiontime",
)

TABLES = (EMAIL, ACTIVITYPARTY, ACTIVITYMIMEATTACHMENT, INTERACTIONFOREMAIL)
