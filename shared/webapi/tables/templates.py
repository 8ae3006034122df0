"""Templates that mail is made from (Microsoft's table reference of template)."""

import locale

from shared.webapi.schema import (
    Collection,
    Table,
    all_fixed,
    audit,
    entity_name,
    flag,
    guid,
    integer,
    lazy,
    memo,
    required,
    ruled,
    text,
)

TYPES = ("contact", "account", "lead", "systemuser")
"""The tables that a template may be for: those of people and companies, and that of users for one that fits any."""

_ROOM = 32_000
"""Dataverse's limit of these texts is 1,073,741,823; this is what a property of Azure Table storage holds (64 KiB)."""
_LANGUAGES = frozenset(code & 0x3FF for code in locale.windows_locale)
"""The languages in LCIDs: the low ten bits (Microsoft's [MS-LCID])."""


def _no_type(name: str) -> str:
    return "" if name in TYPES else f"a template is for one of {', '.join(TYPES)} (systemuser: for any record)"


def _no_language(code: int) -> str:
    known = code <= 0xFFFF and code > 0x3FF and code & 0x3FF in _LANGUAGES
    return "" if known else "it is not a Windows locale id (LCID) such as 1033, English (United States)"


TEMPLATE = Table(
    "template",
    "templates",
    "templateid",
    "title",
    (
        guid("templateid", label="Email Template", about="The key."),
        required(text("title", 200, about="The name that sellers choose by.")),
        required(memo("subject", 5000, about="The subject line; may hold dynamic text.")),
        lazy(memo("body", 0, about="The body, HTML; may hold dynamic text. Not in lists unless selected."), "_body"),
        memo("description", 2000, about="What it is for."),
        required(
            ruled(
                entity_name("templatetypecode", label="Template Type", about="The table whose rows fill it in."),
                _no_type,
            )
        ),
        required(
            ruled(
                integer("languagecode", label="Language", about="Its language as a Windows locale id: 1033 English."),
                _no_language,
            )
        ),
        flag("ispersonal", True, "Individual", "Organization", label="Viewable By", about="Its owner, or everybody."),
        text("mimetype", 256, label="Mime Type", about="The media type of the body."),
        lazy(
            memo("presentationxml", 0, label="Presentation XML", about="The body as Dynamics' old editor keeps it."),
            "_presentationxml",
        ),
        memo("subjectpresentationxml", _ROOM, label="Subject XML", about="The subject as that editor keeps it."),
        lazy(
            memo("safehtml", 0, label="Safe HTML of email template", about="The body as the new editor keeps it."),
            "_safehtml",
        ),
        memo("subjectsafehtml", _ROOM, label="Safe HTML of email template subject", about="The subject, likewise."),
        *all_fixed(
            integer("usedcount", 0, label="Sent email count", about="Mail that was sent with it, followed or not."),
            integer("ee_followedcount", 0, label="Followed Email Count", about="Followed mail that was sent with it."),
            integer("opencount", 0, label="Open Count", about="Followed mail that at least one person opened."),
            integer("replycount", 0, label="Reply Count", about="Followed mail that was answered."),
            integer("openrate", 0, label="Open Rate", about="Opened of followed mail, whole percent, each once."),
            integer("replyrate", 0, label="Reply Rate", about="Answered of followed mail, likewise."),
            integer("ee_clickrate", 0, label="Click Rate", about="Followed mail in which a person clicked, likewise."),
            flag("isrecommended", False, label="Recommended", about="Whether it does best among its like."),
        ),
        *audit(),
    ),
    private_where="ispersonal",
    collections={"Email_EmailTemplate": Collection("email", "templateid")},
    label="Email Template",
    plural="Email Templates",
    about="A subject and body to begin mail with. A personal one is its owner's and administrators' alone; one of the "
    "organization is managers' to change. The figures are the service's.",
)

TABLES = (TEMPLATE,)
