"""What a seller reads when a mail could not be sent."""

import pytest

from shared.engagement.refusals import NO_MAILBOX, why_rejected

SENDER = "seller@contoso.example"


@pytest.mark.parametrize("code", sorted(NO_MAILBOX))
def test_a_sender_without_a_mailbox_is_named(code: str):
    assert why_rejected(404, code, "..", SENDER) == f"{SENDER} has no mailbox in Microsoft 365"


def test_what_an_administrator_has_to_do_is_said():
    assert "renew" in why_rejected(401, "InvalidClientCredentials", "", SENDER)
    assert "grant it Mail.Send" in why_rejected(403, "ErrorAccessDenied", "", SENDER)
    assert "grant it Mail.Send" in why_rejected(403, "Forbidden", "", SENDER)


def test_too_large_is_told_by_code_and_by_status():
    assert why_rejected(413, "", "", SENDER) == why_rejected(400, "ErrorMessageSizeExceeded", "", SENDER)


def test_a_wrong_recipient_is_named_as_graph_names_it():
    reason = why_rejected(400, "ErrorInvalidRecipients", "At least one recipient isn't valid: 'x'.", SENDER)
    assert reason.endswith("At least one recipient isn't valid: 'x'.")


@pytest.mark.parametrize(("message", "shown"), [("Because.", "Because."), ("", "ErrorUnknown"), ("x" * 999, "x" * 300)])
def test_what_is_not_known_is_passed_on_in_short(message: str, shown: str):
    assert why_rejected(400, "ErrorUnknown", message, SENDER) == f"Microsoft 365 refused it: {shown}"
