"""Mail: email, its parties and attachments, what recipients did with it, and emails seen as activities.

Columns that the service keeps (counters, follow state, delivery) are read-only here even where Dataverse's metadata
calls them writable: nobody but the service can know them.
"""

from collections.abc import Mapping
from dataclasses import replace

from shared.engagement.options import DRAFT, STATE_OF_STATUS, STATUS_NAMES
from shared.webapi.schema import (
    Collection,
    Column,
    Table,
    Type,
    all_fixed,
    audit,
    choice,
    entity_name,
    fixed,
    flag,
    from_sales,
    guid,
    integer,
    lazy,
    lookup,
    memo,
    once,
    required,
    state,
    text,
    time,
    version,
)

_PRIORITIES = {0: "Low", 1: "Normal", 2: "High"}
_STATES = {0: "Open", 1: "Completed", 2: "Canceled"}
_REMINDERS = {0: "If I do not receive a reply by", 1: "If the email is not opened by", 2: "Remind me anyways at"}
_REMINDER_STATUSES = {0: "NotSet", 1: "ReminderSet", 2: "ReminderExpired", 3: "ReminderInvalid"}
_CORRELATIONS = {
    0: "None", 1: "Skipped", 2: "XHeader", 3: "InReplyTo",
    4: "TrackingToken", 5: "ConversationIndex", 6: "SmartMatching", 7: "CustomCorrelation",
}  # fmt: skip
_NOTIFICATIONS = {
    0: "None",
    1: "The message was saved as a Microsoft Dynamics 365 email record, but not all the attachments could be saved "
    "with it. An attachment cannot be saved if it is blocked or if its file type is invalid.",
    2: "Truncated body.",
}
_RECURRENCES = {
    0: "Not Recurring", 1: "Recurring Master", 2: "Recurring Instance",
    3: "Recurring Exception", 4: "Recurring Future Exception",
}  # fmt: skip
_INTERACTIONS = {0: "EmailOpen", 1: "LinkOpen", 2: "AttachmentOpen", 3: "EmailReply"}
_PARTICIPATIONS = {1: "Sender", 2: "To Recipient", 3: "CC Recipient", 4: "BCC Recipient"}
_NOTHING = "Not filled."
"""What is said of a column that is there because clients select it."""


def _regarding(suffix: str) -> Mapping[str, str]:
    """Real clients use two spellings: the documented one of the table, and the one that ``activitypointer`` has."""
    targets = ("account", "contact", "lead")
    return {f"regardingobjectid_{target}{end}": target for end in (suffix, "") for target in targets}


def _of_an_activity(suffix: str) -> tuple[Column, ...]:
    """What every activity has; `suffix` ends the documented names of its navigation properties."""
    return (
        text("subject", 800, about="The subject line."),
        required(
            Column(
                "statecode",
                Type.STATE,
                options=_STATES,
                default=0,
                label="Activity Status",
                about="Follows the status reason; what is not open is read-only.",
            )
        ),
        required(
            Column(
                "statuscode",
                Type.STATUS,
                options=dict(enumerate(STATUS_NAMES[1:], DRAFT)),
                states=STATE_OF_STATUS,
                default=1,
                label="Status Reason",
                about="Where the mail is in its life. SendEmail sends it; Pending Send can go back to Draft.",
            )
        ),
        choice("prioritycode", _PRIORITIES, 1, label="Priority", about="The importance that the recipient sees."),
        lookup("regardingobjectid", _regarding(suffix), label="Regarding", about="The record that it is about."),
        time("scheduledstart", label="Start Date", about="When it is meant to be begun."),
        time("scheduledend", label="Due Date", about="When it is meant to be done."),
        time("actualstart", label="Actual Start", about="When it was begun."),
        time("sortdate", label="Sort Date", about="What clients sort activities by."),
        *all_fixed(
            time("actualend", label="Actual End", about="When it was completed or canceled."),
            time("senton", label="Date Sent", about="When it was sent."),
            entity_name("activitytypecode", "email", label="Activity Type", about="The kind of activity: email."),
            flag("isregularactivity", True, label="Is Regular Activity", about="Always yes: mail is no event."),
            flag("isworkflowcreated", False, label="Is Workflow Created", about="Always no: there are no workflows."),
        ),
        *audit(suffix),
    )


EMAIL = Table(
    "email",
    "emails",
    "activityid",
    "subject",
    (
        Column(
            "activityid",
            Type.GUID,
            navigations={"activityid_activitypointer": "activitypointer"},
            label="Email Message",
            about="The key.",
        ),
        *_of_an_activity("_email"),
        lazy(memo("description", 0, about="The body, HTML. Not in lists unless selected."), "_body"),
        flag("directioncode", True, "Outgoing", "Incoming", label="Direction", about="Outgoing is ours."),
        flag("followemailuserpreference", False, "True", "False", label="Following", about="Whether to follow it."),
        time("delayedemailsendtime", label="Send Later", about="When to send it; null and the past send now."),
        choice("emailremindertype", _REMINDERS, 0, label="Email Reminder Type", about="What the reminder depends on."),
        time("emailreminderexpirytime", label="Email Reminder Expiry Time", about="When to remind the sender."),
        text("emailremindertext", 1250, label="Email Reminder Text", about="A note for then."),
        guid("reminderactioncardid", label="Reminder Action Card Id.", about="The card that the reminder made."),
        lookup("templateid", {"templateid": "template"}, label="ID for template used.", about="What it is made from."),
        lookup(
            "parentactivityid",
            {"parentactivityid": "email", "parentactivityid_email": "email"},
            label="Parent Activity Id",
            about="The mail that it belongs to.",
        ),
        *all_fixed(
            flag("isemailfollowed", False, label="Followed", about="Whether it is followed, decided when it is sent."),
            memo("ee_followreason", 4000, label="Follow Reason", about="Why it is not followed, naming the party."),
            time(
                "ee_followendedon",
                label="Follow Ended On",
                about="Since when hits are not kept any more, because a recipient withdrew; null while they are.",
            ),
            text("ee_statustext", 4000, label="Status Text", about="In words: when it goes, whether it was opened."),
            memo("ee_failurereason", 4000, label="Failure Reason", about="Why it could not be sent."),
            text("ee_lengthnote", 400, label="Length Note", about="What Gmail hides of it; null when nothing."),
            integer("ee_lateby", label="Late By", about="Seconds it left after its time; null when in time."),
            integer("opencount", 0, label="Open Count", about="How often people opened it."),
            time("lastopenedtime", label="Last Opened Time", about="When a person last opened it or clicked in it."),
            integer("linksclickedcount", 0, label="Links Clicked Count", about="How often people clicked its links."),
            integer(
                "attachmentopencount", 0, label="Attachment Open Count", about="How often people opened its files."
            ),
            integer("replycount", 0, label="Reply Count", about="Replies, but not automatic ones and bounces."),
            integer("ee_proxyopencount", 0, label="Proxy Open Count", about="Opens by privacy proxies."),
            integer("ee_machineopencount", 0, label="Machine Open Count", about="Opens by scanners and the like."),
            integer("ee_machineclickcount", 0, label="Machine Click Count", about="Clicks by scanners and the like."),
            choice(
                "emailreminderstatus", _REMINDER_STATUSES, 0, label="Email Reminder Status", about="What came of it."
            ),
            flag("isemailreminderset", False, label="Reminder Set", about="Whether a reminder waits."),
            memo("ee_reminderreason", 4000, label="Reminder Reason", about="Why a reminder is invalid."),
        ),
        choice("deliveryprioritycode", _PRIORITIES, 1, label="Delivery Priority", about="Kept, without effect."),
        flag("deliveryreceiptrequested", False, label="Delivery Receipt Requested", about="Asks for a receipt."),
        flag("readreceiptrequested", False, label="Read Receipt Requested", about="Asks for a receipt."),
        text("category", 250, about="A group of the client's choice."),
        text("subcategory", 250, label="Sub-Category", about="A group within it."),
        text("trackingtoken", 50, label="Tracking Token", about="Kept; replies are found by their headers."),
        guid("emailtrackingid", label="Email Tracking Id", about="A client's own mark."),
        guid("conversationtrackingid", label="Conversation Tracking Id", about="A client's own mark."),
        from_sales(
            memo(
                "msdyn_emailengagementinteractions",
                4000,
                label="Email engagement interactions",
                about="A client's own; interactionforemail has them.",
            )
        ),
        *all_fixed(
            integer("attachmentcount", 0, label="Attachment Count", about="How many attachments it has."),
            integer("deliveryattempts", 0, high=10**9, label="No. of Delivery Attempts", about="Attempts to send it."),
            text("sender", 250, label="From", about="The sender's address, as it was sent."),
            text("torecipients", 500, label="To Recipients", about="The recipients' addresses, as it was sent."),
            text("messageid", 320, label="Message ID", about="Message-ID (RFC 5322) of the mail."),
            text("inreplyto", 320, label="In Reply To Message", about="Message-ID of the mail that it answers."),
            lookup(
                "correlatedactivityid",
                {"CorrelatedActivityId_Email": "email"},
                label="Correlated Activity Id",
                about="The mail that a reply answers.",
            ),
            choice("correlationmethod", _CORRELATIONS, 0, label="Correlation Method", about="How that was found."),
            choice("notifications", _NOTIFICATIONS, 0, about="What went wrong when a received mail was kept."),
            memo("safedescription", 2**30 - 1, label="Safe Description", about=_NOTHING),
            text("submittedby", 250, label="Submitted By", about=_NOTHING),
            text("conversationindex", 2048, label="Conversation Index", about=_NOTHING),
            integer("baseconversationindexhash", low=-(2**31), label="Conversation Index (Hash)", about=_NOTHING),
            text("internetmessageheaders", 500, label="Internet message headers", about=_NOTHING),
            time("postponeemailprocessinguntil", label="Delay email processing until", about=_NOTHING),
        ),
    ),
    kept="email",
    collections={
        "email_activity_parties": Collection("activityparty", "activityid"),
        "email_activity_mime_attachment": Collection("activitymimeattachment", "objectid"),
        "email_actioncard": Collection("actioncard", "regardingobjectid"),
        "email_email_parentactivityid": Collection("email", "parentactivityid"),
        "email_email_CorrelatedActivityId": Collection("email", "correlatedactivityid"),
    },
    plural="Email Messages",
    about="Mail that was or will be sent, and replies. Parties and attachments can be made with it. Once it is on its "
    "way only what surrounds it changes: regarding, owner, reminder; the send time while it waits.",
)

ACTIVITYPOINTER = Table(
    "activitypointer",
    "activitypointers",
    "activityid",
    "subject",
    (
        guid("activityid", label="Activity", about="The key: the email's."),
        *all_fixed(
            *_of_an_activity("_activitypointer"),
            choice("instancetypecode", _RECURRENCES, 0, label="Recurring Instance Type", about="Mail does not recur."),
        ),
    ),
    kept="email",
    writers="nobody",
    creatable=False,
    collections={
        "activitypointer_activity_parties": Collection("activityparty", "activityid"),
        "activity_pointer_activity_mime_attachment": Collection("activitymimeattachment", "objectid"),
    },
    view_of="email",
    label="Activity",
    plural="Activities",
    schema_name="ActivityPointer",
    about="Emails seen as activities: what all activities have in common, to be read.",
)

ACTIVITYPARTY = Table(
    "activityparty",
    "activityparties",
    "activitypartyid",
    "addressused",
    (
        guid("activitypartyid", label="Activity Party", about="The key."),
        fixed(
            lookup(
                "activityid",
                {"activityid_email": "email", "activityid_activitypointer": "email"},
                label="Activity",
                about="The email.",
            )
        ),
        lookup(
            "partyid",
            {f"partyid_{target}": target for target in ("contact", "account", "lead", "systemuser", "queue")},
            label="Party",
            about="The record; without one the address is unresolved.",
        ),
        required(
            choice("participationtypemask", _PARTICIPATIONS, label="Participation Type", about="Which address line.")
        ),
        text("addressused", 320, label="Address", about="The address; chooses among the record's where there is one."),
        text("unresolvedpartyname", 200, label="Unresolved Party Name", about="The name beside an unresolved address."),
        *all_fixed(
            integer("addressusedemailcolumnnumber", low=1, label="Email column number of party", about=_NOTHING),
            flag("donotemail", False, "Do Not Allow", "Allow", label="Do not allow Emails", about=_NOTHING),
            flag("ispartydeleted", False, label="Is Party Deleted", about=_NOTHING),
        ),
        version(),
    ),
    kept="child",
    prefix="party:",
    parent="activityid",
    writers="nobody",
    creatable=False,
    label="Activity Party",
    plural="Activity Parties",
    schema_name="ActivityParty",
    about="Somebody in an address line of an email. Written with the email (email_activity_parties), all at once.",
)

ACTIVITYMIMEATTACHMENT = Table(
    "activitymimeattachment",
    "activitymimeattachments",
    "activitymimeattachmentid",
    "filename",
    (
        guid("activitymimeattachmentid", label="Activity Mime Attachment", about="The key."),
        once(
            lookup(
                "objectid",
                {"objectid_email": "email", "objectid_activitypointer": "email", "objectid": "email"},
                label="Item",
                about="The email.",
            )
        ),
        once(entity_name("objecttypecode", "email", label="Entity", about="The table of objectid: email.")),
        text("filename", 255, label="File Name", about="The name that the recipient sees."),
        text("mimetype", 256, label="Mime Type", about="Its media type (RFC 2045)."),
        replace(
            lazy(memo("body", 0, about="Its content, base64. Not in lists unless selected."), "_blob"), binary=True
        ),
        text("subject", 2000, about="A note."),
        text("attachmentcontentid", 250, label="Content Id", about="Content-ID of an image in the body (cid:)."),
        *all_fixed(
            integer("attachmentnumber", high=10**9, label="Attachment Number", about="Its place among the email's."),
            integer("filesize", 0, high=10**9, label="File Size (Bytes)", about="Bytes of its content."),
            flag("isfollowed", False, label="Followed", about="Whether it is followed; FollowEmailAttachment sets it."),
            text("ee_notfollowedreason", 1000, label="Not Followed Reason", about="Why it is not, all the same."),
            text("anonymouslink", 2000, label="Anonymous link", about="The sharing link behind a followed one."),
            lookup("attachmentid", {}, label="Attachment", about="Not filled: a file is not used twice."),
        ),
        version(),
    ),
    kept="child",
    prefix="attachment:",
    parent="objectid",
    label="Attachment",
    plural="Attachments",
    schema_name="ActivityMimeAttachment",
    about="A file of an email. Its content stays with the email until it is sent.",
)

INTERACTIONFOREMAIL = Table(
    "interactionforemail",
    "interactionforemails",
    "interactionforemailid",
    "name",
    all_fixed(
        guid("interactionforemailid", label="Interaction for Email", about="The key."),
        text("name", 100, about="What happened, in words."),
        choice("interactiontype", _INTERACTIONS, 0, label="Interaction Type", about="What happened."),
        time("emailinteractiontime", label="Interaction date and time of the an email", about="When it happened."),
        guid("emailactivityid", label="Email Activity Id", about="The email."),
        text(
            "interactedcomponenttext",
            1250,
            label="Email Interaction Component Related Text",
            about="The link's text or target, or the attachment's name.",
        ),
        text("interactionuseragent", 1250, label="User Agent for an Interaction", about="The kind of device."),
        text("interactionlocation", 1250, label="Location for an Interaction", about="Not kept: no address stays."),
        text(
            "interactionrepliedby",
            1250,
            label="Name who replied to email if interaction is reply",
            about="Who replied.",
        ),
        text("interactionreplyid", 1250, label="InteractionReplyId", about="The Message-ID of a reply."),
        guid("emailinteractionreplyid", label="Email Activity Id", about="The reply as an email."),
        text("emailaddress", 1250, label="Email Address", about="The recipient's address, where it is known."),
        guid("interactionpartyid", label="Interaction party id.", about="The recipient's record, where it is known."),
        choice(
            "ee_label",
            {0: "Person", 1: "Proxy", 2: "Machine", 3: "Sender"},
            0,
            label="Label",
            about="Who it was; only persons count.",
        ),
        memo("ee_labelreason", 4000, label="Label Reason", about="What the label rests on."),
        text("ee_device", 250, label="Device", about="The kind of device, where it shows."),
        guid("ee_duplicateof", label="Duplicate Of", about="The interaction that this one repeats, uncounted."),
        *state(),
        *(column for column in audit() if column.name in ("createdon", "ownerid", "versionnumber")),
    ),
    kept="child",
    prefix="interaction:",
    parent="emailactivityid",
    writers="nobody",
    creatable=False,
    order="emailinteractiontime",
    label="Interaction for Email",
    plural="Interactions for Email",
    schema_name="InteractionForEmail",
    about="An open, click, attachment view or reply; every hit is one, with a label that says who it was.",
)

TABLES = (EMAIL, ACTIVITYPOINTER, ACTIVITYPARTY, ACTIVITYMIMEATTACHMENT, INTERACTIONFOREMAIL)
