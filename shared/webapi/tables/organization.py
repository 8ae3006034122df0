"""The organization itself: the switches that clients and administrators see (the organization table reference)."""

from collections.abc import Callable

from shared.engagement.best_time import parse_clock, parse_days
from shared.engagement.zones import complaint
from shared.webapi.schema import Table, all_fixed, choice, fixed, flag, guid, integer, memo, ruled, text

_LARGEST = 131_072 * 1024
_NOT_HERE = "Read by clients of Dataverse; without effect here."


def _readable(parse: Callable[[str], object]) -> Callable[[str], str]:
    """Return the rule that `parse` takes a text without a ValueError."""

    def rule(value: str) -> str:
        try:
            parse(value)
        except ValueError as error:
            return str(error)
        return ""

    return rule


ORGANIZATION = Table(
    "organization",
    "organizations",
    "organizationid",
    "name",
    (
        guid("organizationid", label="Organization", about="The key."),
        fixed(text("name", 160, label="Organization Name", about="The name, which is in every URL.")),
        flag(
            "isemailmonitoringallowed",
            True,
            label="Allow tracking recipient activity on sent emails",
            about="Email engagement. Off: hits are answered and not kept; columns stay, empty.",
        ),
        flag("isactioncardenabled", True, label="Enable Action Card", about="Whether cards are made."),
        flag("isonedriveenabled", True, label="Enable OneDrive", about="Whether attachments can be followed."),
        flag(
            "allowunresolvedpartiesonemailsend",
            True,
            label="Allow Unresolved Address Email Send",
            about="Whether mail may go to addresses without a record, unfollowed. Dataverse begins with No.",
        ),
        integer("maxuploadfilesize", _LARGEST, high=_LARGEST, label="Max Upload File Size", about="Bytes of a file."),
        memo("blockedattachments", 20_000, label="Block Attachments", about="File extensions, parted by semicolons."),
        memo(
            "ee_allowedorigins",
            10_000,
            label="Allowed Origins",
            about="Origins of pages and add-ins that may call the Web API (CORS), one a line.",
        ),
        flag(
            "ee_alertbymail",
            False,
            label="Alert By Mail",
            about="Whether a card is mailed to its owner too.",
        ),
        text(
            "ee_alertwebhook",
            2000,
            label="Alert Webhook",
            about="The https address that cards are posted to (docs/alerts.md); null for none.",
        ),
        text(
            "ee_alertwebhooksecret",
            100,
            label="Alert Webhook Secret",
            about="What the webhook is signed with: whsec_ and base64. Reads as null; goes with the webhook.",
        ),
        memo(
            "ee_cardkindsoff",
            1000,
            label="Kinds of Cards Off",
            about="Kinds of cards that are not made, parted by semicolons (actioncard names them).",
        ),
        choice(
            "ee_consentmode",
            {0: "Opt-out", 1: "Prior consent"},
            0,
            label="Consent Mode",
            about="Whether mail is followed unless a recipient does not allow it, or only where all have consented.",
        ),
        flag(
            "ee_withdrawallink",
            False,
            label="Withdrawal Link",
            about="Whether followed mail ends with a link to withdraw; with prior consent it always does.",
        ),
        text("ee_withdrawaltext", 200, label="Withdrawal Text", about="What that link says; null for English words."),
        integer(
            "ee_retentiondays",
            low=1,
            high=36_500,
            label="Retention Days",
            about="After how many days hits and cards are removed, counters stay; null keeps them.",
        ),
        ruled(
            text("ee_timezone", 100, label="Time Zone", about="IANA name; for recipients of whom no zone is known."),
            complaint,
        ),
        ruled(
            text("ee_workdaystart", 5, "08:00", label="Workday Start", about="When recipients' working day begins."),
            _readable(parse_clock),
        ),
        ruled(
            text("ee_workdayend", 5, "17:00", label="Workday End", about="When it ends; later than it begins."),
            _readable(parse_clock),
        ),
        ruled(
            text(
                "ee_workingdays",
                100,
                "Monday, Tuesday, Wednesday, Thursday, Friday",
                label="Working Days",
                about="Recipients' working days, in English, parted by commas.",
            ),
            _readable(parse_days),
        ),
        *all_fixed(
            flag("isrelationshipinsightsenabled", False, label="Enable Relationship Insights", about=_NOT_HERE),
            flag("isautodatacaptureenabled", False, label="Enable Auto Capture", about=_NOT_HERE),
            flag("isactivityanalysisenabled", False, label="Enable Relationship Analytics", about=_NOT_HERE),
            flag(
                "resolvesimilarunresolvedemailaddress",
                True,
                label="Apply same email address to all unresolved matches when you manually resolve it for one",
                about=_NOT_HERE,
            ),
            flag("requireapprovalforuseremail", False, label="Is Approval For User Email Required", about=_NOT_HERE),
            flag("requireapprovalforqueueemail", False, label="Is Approval For Queue Email Required", about=_NOT_HERE),
            memo("orgdborgsettings", 20_000, label="Organization Database Organization Settings", about="Not filled."),
        ),
    ),
    kept="organization",
    writers="administrator",
    creatable=False,
    about="The organization: its switches and limits, one row.",
)

TABLES = (ORGANIZATION,)
