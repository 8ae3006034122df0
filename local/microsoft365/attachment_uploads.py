"""Attachments from 3 MB to 150 MB: through an upload session.

Source: https://learn.microsoft.com/graph/api/attachment-createuploadsession.
"""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from local.microsoft365.access import json_object, mailbox_of, wants_immutable_ids
from local.microsoft365.errors import bad_request
from local.microsoft365.mail import attach
from local.microsoft365.messages import find
from local.microsoft365.notifications import publish
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import StandIn, standin_of
from local.microsoft365.uploads import open_upload

# Graph documents "3 MB" for both ways of attaching; where exactly they meet it does not say, so both take what is
# between.
SMALLEST = 3_000_000
LARGEST = 150 * 1024 * 1024


async def create_session(request: Request) -> Response:
    """POST createUploadSession of a message's attachments."""
    standin, owner = standin_of(request), mailbox_of(request)
    body = await json_object(request)
    item = body.get("AttachmentItem", body.get("attachmentItem"))
    if not isinstance(item, dict):
        raise bad_request("'AttachmentItem' is needed.", "RequestBodyRead")
    name, size = item.get("name"), item.get("size")
    if str(item.get("attachmentType")).casefold() != "file" or not isinstance(name, str) or not name:
        raise bad_request("'AttachmentItem' needs 'attachmentType' file and a 'name'.", "RequestBodyRead")
    if isinstance(size, bool) or not isinstance(size, int) or size > LARGEST:
        raise bad_request(
            "'AttachmentItem' needs a 'size' in bytes of at most 150 MB.", "ErrorAttachmentSizeLimitExceeded"
        )
    if size < SMALLEST:
        raise bad_request(
            "Attachment size must be greater than the minimum size.",
            "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
        )
    for key, kind in {"contentType": str, "isInline": bool, "contentId": str}.items():
        if not isinstance(item.get(key), kind | None):
            raise bad_request(f"'{key}' of 'AttachmentItem' has the wrong type.", "RequestBodyRead")
    message = find(standin.db, owner.address, request.path_params["message"])
    if not message.is_draft:
        raise bad_request("Attachments are added only while the message is a draft.", "ErrorInvalidOperation")
    target = {
        "mailbox": owner.address,
        "message": message.id,
        "seen": message.seen_id(wants_immutable_ids(request)),
        "item": {key: item.get(key) for key in ("name", "contentType", "isInline", "contentId")},
    }
    session = open_upload(standin, "attachment", target, size)
    context = f"{standin.base_url}/v1.0/$metadata#microsoft.graph.uploadSession"
    return json_reply({"@odata.context": context, **session}, 201)


def finish_attachment(standin: StandIn, target: dict[str, Any], content: bytes) -> Response:
    """Attach what was uploaded: 201 with the attachment's address in `Location`."""
    message = find(standin.db, target["mailbox"], target["message"])
    attached, changes = attach(standin.db, message, target["item"], content, LARGEST + 1)
    publish(standin, changes)
    place = f"{standin.base_url}/v1.0/users/{quote(target['mailbox'], safe='@')}/messages/{target['seen']}"
    return Response(status_code=201, headers={"Location": f"{place}/attachments/{attached['id']}"})
