"""Why a mail could not be sent, in words for the seller who wrote it."""

NO_MAILBOX = frozenset({
    "ErrorInvalidUser", "Request_ResourceNotFound", "ResourceNotFound", "MailboxNotEnabledForRESTAPI",
    "ErrorNonExistentMailbox", "MailboxNotHostedInExchangeOnline",
})  # fmt: skip
"""Graph's codes for an address that has no mailbox (learn.microsoft.com/graph/errors, and Exchange's ResponseCode)."""

MESSAGE_GONE = frozenset({"ErrorItemNotFound", "itemNotFound"})

UNCERTAIN = (
    "it is not certain whether it was sent, because the message is neither in Drafts nor in Sent Items any more: "
    "ask a recipient before sending it again"
)
UNREACHABLE = "Microsoft 365 could not be reached for a whole day: send it again"
BROKEN = (
    "it failed several times because of an error in this service: send it again, "
    "and tell an administrator if that fails too"
)

_BY_CODE = {
    "ErrorMessageSizeExceeded": "it is larger than Microsoft 365 allows: remove attachments or follow them instead",
    "ErrorSendAsDenied": "this service may not send as the sender: an administrator has to grant it Mail.Send",
    "ErrorAccessDenied": "this service may not use the sender's mailbox: an administrator has to grant it Mail.Send",
    "ErrorExceededMessageLimit": "the sender's mailbox has reached its sending limit: send it again tomorrow",
    "ErrorQuotaExceeded": "the sender's mailbox is full",
    "ErrorInvalidRecipients": "Microsoft 365 does not accept the address of a recipient",
}


def why_rejected(status: int, code: str, message: str, sender: str) -> str:
    """Return why Microsoft 365 refused to send; `status`, `code` and `message` are Graph's, `sender` an address."""
    if code in NO_MAILBOX:
        return f"{sender} has no mailbox in Microsoft 365"
    if status == 401:
        return "Microsoft 365 does not accept this service's credentials: an administrator has to renew them"
    known = _BY_CODE.get(code)
    if known is None and status == 413:
        known = _BY_CODE["ErrorMessageSizeExceeded"]
    if known is None and status == 403:
        known = _BY_CODE["ErrorAccessDenied"]
    if known is None:
        return f"Microsoft 365 refused it: {message[:300].strip() or code or status}"
    if code == "ErrorInvalidRecipients" and message:
        return f"{known}: {message[:300].strip()}"
    return known
