"""Each function that works on something of an organization says so before it does anything."""

import dataclasses
import json
import logging
import uuid

import azure.functions as func
import pytest

from functions import delivery, engagement, mailbox, recipients, telling, templates
from shared import logs
from shared.engagement.tokens import Token, TokenKind, mint
from shared.settings import settings

pytestmark = pytest.mark.usefixtures("configured")

EMAIL = "9d1a8a1e-55b5-4d0b-8f43-2f0d0a2f8d9c"


@pytest.fixture(autouse=True)
def _redacting():
    before = logging.getLogRecordFactory()
    logs.redact()
    yield
    logging.setLogRecordFactory(before)


def about():
    """Return what a line would be about that this task logged now."""
    return getattr(logging.getLogger("shared").makeRecord("shared", 20, "", 0, "said", (), None), logs.ABOUT)


@pytest.mark.parametrize(
    ("function", "work", "email"),
    [
        (delivery.deliver, {"email": EMAIL}, EMAIL),
        (delivery.give_up, {"email": EMAIL}, EMAIL),
        (delivery.remind, {"email": EMAIL}, EMAIL),
        (delivery.remind_later, {"email": EMAIL}, EMAIL),
        (engagement.fold, {"email": EMAIL}, EMAIL),
        (engagement.fold, {"partition": "2026"}, None),
        (engagement.figures, {}, None),
        (mailbox.mailbox, {"mailbox": EMAIL}, None),
        (telling.tell, {"card": EMAIL, "channel": "mail"}, None),
        (telling.give_up_telling, {"card": EMAIL, "channel": "mail"}, None),
        (templates.unlink, {"template": EMAIL}, None),
    ],
)
async def test_a_queues_function_says_what_its_message_is_about(function, work, email):
    message = func.QueueMessage(body=json.dumps({"organization": "nobodyhere", **work}))
    await function._function.get_user_function()(message)
    assert about() == {"organization": "nobodyhere"} | ({"email": email} if email else {})


async def test_a_hit_that_cannot_be_recorded_says_whose_it_was(monkeypatch, caplog):
    monkeypatch.setenv("STORAGE_NOBODYHERE", "AccountName=without-a-key")
    path = mint(Token(1, "nobodyhere", TokenKind.OPEN, uuid.UUID(EMAIL), 0, 0), settings().token_secrets)
    request = func.HttpRequest("GET", f"http://127.0.0.1/o/{path}", route_params={"rest": path}, body=b"")
    answer = await recipients.pixel._function.get_user_function()(request)
    assert answer.status_code == 200
    [record] = [record for record in caplog.records if "was not recorded" in record.getMessage()]
    assert getattr(record, logs.ABOUT) == {"organization": "nobodyhere", "email": EMAIL}


@pytest.mark.parametrize(
    ("path", "email"), [(f"emails({EMAIL.upper()})", EMAIL), (f"emails({EMAIL})/subject", EMAIL), ("contacts", None)]
)
async def test_the_web_api_says_which_organization_and_email_a_request_is_about(seller, path, email):
    await seller.get(path)
    assert about() == {"organization": seller.organization.name} | ({"email": email} if email else {})


async def test_an_organization_that_does_not_exist_is_not_said(seller):
    seller.organization = dataclasses.replace(seller.organization, name="nobodyhere")
    assert (await seller.get("contacts")).status == 403
    assert about() == {}
