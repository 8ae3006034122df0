"""The organization itself: the switches that clients and administrators see (the organization table reference)."""

from shared.webapi.schema import Table, fixed, flag, guid, integer, memo, text

ORGANIZATION = Table(
    "organization",
    "organizations",
    "organizationid",
    "name",
    (
        guid("organizationid"),
        fixed(text("name", 160)),
        flag("isemailmonitoringallowed", True),
        flag("isactioncardenabled", True),
        flag("isonedriveenabled", True),
        flag("allowunresolvedpartiesonemailsend", True),
        integer("maxuploadfilesize", high=131_072 * 1024),
        memo("blockedattachments", 1_073_741_823),
        memo("ee_allowedorigins", 10_000),
    ),
    kept="organization",
    writers="administrator",
    creatable=False,
)

TABLES = (ORGANIZATION,)
