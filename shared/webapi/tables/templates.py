"""Templates that mail is made from (Microsoft's table reference of template)."""

from shared.webapi.schema import (
    Collection,
    Table,
    all_fixed,
    audit,
    entity_name,
    flag,
    guid,
    integer,
    memo,
    required,
    text,
)

_ROOM = 32_000
"""Dataverse's limit of these texts is 1,073,741,823; this is what a property of Azure Table storage holds (64 KiB)."""

TEMPLATE = Table(
    "template",
    "templates",
    "templateid",
    "title",
    (
        guid("templateid", label="Email Template", about="The key."),
        required(text("title", 200, about="The name that sellers choose by.")),
        required(memo("subject", 5000, about="The subject line; may hold dynamic text.")),
        memo("body", _ROOM, about="The body, HTML; may hold dynamic text."),
        memo("description", 2000, about="What it is for."),
        required(entity_name("templatetypecode", label="Template Type", about="The table whose rows fill it in.")),
        required(integer("languagecode", label="Language", about="Its language as a Windows locale id: 1033 English.")),
        flag("ispersonal", True, "Individual", "Organization", label="Viewable By", about="Its owner, or everybody."),
        text("mimetype", 256, label="Mime Type", about="The media type of the body."),
        memo("presentationxml", _ROOM, label="Presentation XML", about="The body as Dynamics' old editor keeps it."),
        memo("subjectpresentationxml", _ROOM, label="Subject XML", about="The subject as that editor keeps it."),
        memo("safehtml", _ROOM, label="Safe HTML of email template", about="The body as the new editor keeps it."),
        memo("subjectsafehtml", _ROOM, label="Safe HTML of email template subject", about="The subject, likewise."),
        *all_fixed(
            integer("usedcount", 0, label="Sent email count", about="Followed mail that was sent with it."),
            integer("opencount", 0, label="Open Count", about="Such mail that at least one person opened."),
            integer("replycount", 0, label="Reply Count", about="Such mail that was answered."),
            integer("openrate", 0, label="Open Rate", about="Opened of sent, whole percent."),
            integer("replyrate", 0, label="Reply Rate", about="Answered of sent, whole percent."),
            integer("ee_clickrate", 0, label="Click Rate", about="Clicked of sent, whole percent."),
            flag("isrecommended", False, label="Recommended", about="Whether it does best among its like."),
        ),
        *audit(),
    ),
    collections={"Email_EmailTemplate": Collection("email", "templateid")},
    label="Email Template",
    plural="Email Templates",
    about="A subject and body to begin mail with. The figures are the service's, over followed mail.",
)

TABLES = (TEMPLATE,)
