"""The table of contents: every address the stand-in answers, and what a call passes through on its way."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan

from local.microsoft365 import attachment_uploads, control, drive, mail, sharing, subscriptions, tokens, webmail
from local.microsoft365.attachment_uploads import finish_attachment
from local.microsoft365.drive import finish_drive_item
from local.microsoft365.errors import GraphError, error_body
from local.microsoft365.gateway import Gateway, request_id
from local.microsoft365.issuer import load_signer
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import StandIn
from local.microsoft365.store import open_store
from local.microsoft365.uploads import upload_endpoint


def create_app(base_url: str, data_dir: Path, contract: Path | None = None) -> ASGIApp:
    """Return the stand-in as an ASGI application.

    `base_url` is its own address without a trailing slash; state is kept in `data_dir`; with `contract` (the OpenAPI
    slice) every Graph exchange is checked and what breaks it is listed at `/local/violations`.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    standin = StandIn(
        base_url, open_store(data_dir / "microsoft365.sqlite"), load_signer(data_dir / "microsoft365.key.pem")
    )
    app = Starlette(
        routes=_routes(),
        exception_handlers={GraphError: _refuse, HTTPException: _refuse_http},
        lifespan=_lifespan(standin),
    )
    app.router.redirect_slashes = False
    app.state.standin = standin
    if contract is None:
        return Gateway(app, standin)
    from local.microsoft365.contract import Contract

    return Gateway(Contract(app, standin, contract), standin)


def _routes() -> list[BaseRoute]:
    return [*_graph(), *_drive("/users/{user}/drive"), *_drive("/drives/{drive}"), *_local(), *_entra(), *_web()]


def _route(path: str, **handlers: object) -> Route:
    async def answer(request: Request) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        return await handler(request)  # type: ignore[operator,no-any-return]

    return Route(path, answer, methods=list(handlers))


def _graph() -> list[BaseRoute]:
    user = "/v1.0/users/{user}"
    folder, message = f"{user}/mailFolders/{{folder}}", f"{user}/messages/{{message}}"
    attachment = f"{message}/attachments/{{attachment}}"
    messages = {"GET": mail.list_messages, "POST": mail.create_message}
    return [
        _route(user, GET=mail.get_user),
        _route(f"{user}/sendMail", POST=mail.send_mail),
        _route(f"{user}/messages", **messages),
        _route(f"{user}/messages/delta", GET=mail.follow_messages),
        _route(f"{user}/messages/delta()", GET=mail.follow_messages),
        _route(message, GET=mail.get_message, PATCH=mail.update_message, DELETE=mail.delete_message),
        _route(f"{message}/send", POST=mail.send_message),
        _route(f"{message}/$value", GET=mail.get_mime),
        _route(f"{message}/attachments", GET=mail.list_attachments, POST=mail.create_attachment),
        _route(f"{message}/attachments/createUploadSession", POST=attachment_uploads.create_session),
        _route(attachment, GET=mail.get_attachment, DELETE=mail.delete_attachment),
        _route(f"{attachment}/$value", GET=mail.get_attachment_content),
        _route(f"{user}/mailFolders", GET=mail.list_folders),
        _route(folder, GET=mail.get_folder),
        _route(f"{folder}/messages", **messages),
        _route(f"{folder}/messages/delta", GET=mail.follow_messages),
        _route(f"{folder}/messages/delta()", GET=mail.follow_messages),
        _route(f"{folder}/messages/{{message}}", GET=mail.get_message),
        _route("/v1.0/subscriptions", GET=subscriptions.list_subscriptions, POST=subscriptions.create_subscription),
        _route(
            "/v1.0/subscriptions/{subscription}",
            GET=subscriptions.get_subscription,
            PATCH=subscriptions.renew_subscription,
            DELETE=subscriptions.delete_subscription,
        ),
        _route("/v1.0/subscriptions/{subscription}/reauthorize", POST=subscriptions.reauthorize_subscription),
        _route(
            "/uploads/{upload}",
            **dict.fromkeys(
                ("GET", "PUT", "DELETE"), upload_endpoint({"attachment": finish_attachment, "drive": finish_drive_item})
            ),
        ),
    ]


def _drive(prefix: str) -> list[BaseRoute]:
    drive_path = f"/v1.0{prefix}"
    routes: list[BaseRoute] = [
        _route(drive_path, GET=drive.get_drive),
        _route(f"{drive_path}/root", GET=drive.get_item),
        _route(f"{drive_path}/root/children", GET=drive.list_children, POST=drive.create_folder),
    ]
    # The SDK reaches a path through an item id of the form `root:/path:`.
    for item in ("root:/{path:path}:", "items/root:/{path:path}:", "items/{item}"):
        place = f"{drive_path}/{item}"
        routes += [
            _route(f"{place}/content", GET=drive.download, PUT=drive.upload),
            _route(f"{place}/createUploadSession", POST=drive.create_session),
            _route(f"{place}/createLink", POST=sharing.create_link),
            _route(f"{place}/children", GET=drive.list_children),
        ]
        whole = {"GET": drive.get_item, "PATCH": drive.update_item, "DELETE": drive.delete_item}
        routes.append(_route(place.removesuffix(":"), **whole))
    permissions = f"{drive_path}/items/{{item}}/permissions"
    return [
        *routes,
        _route(permissions, GET=sharing.list_permissions),
        _route(f"{permissions}/{{permission}}", GET=sharing.get_permission, DELETE=sharing.delete_permission),
    ]


def _local() -> list[BaseRoute]:
    mailbox = "/local/mailboxes/{address}"
    return [
        _route(mailbox, PUT=control.switch_mailbox),
        _route(f"{mailbox}/messages", GET=control.list_arrived),
        _route(f"{mailbox}/reply", POST=control.reply_to),
        _route(f"{mailbox}/bounce", POST=control.bounce_from),
        _route("/local/faults", GET=control.list_faults, POST=control.add_fault, DELETE=control.clear_faults),
        _route("/local/clock", PUT=control.set_clock),
        _route("/local/requests", GET=control.list_calls, DELETE=control.clear_calls),
        _route("/local/violations", GET=control.list_violations, DELETE=control.clear_violations),
        _route("/local/tenants/{tenant}/sharing", PUT=control.switch_sharing),
        _route("/local/subscriptions/{subscription}/lifecycle", POST=control.send_lifecycle),
    ]


def _entra() -> list[BaseRoute]:
    return [
        _route("/{tenant}/oauth2/v2.0/token", POST=tokens.issue),
        _route("/{tenant}/v2.0/.well-known/openid-configuration", GET=tokens.describe_v2),
        _route("/{tenant}/.well-known/openid-configuration", GET=tokens.describe_v1),
        _route("/{tenant}/discovery/v2.0/keys", GET=tokens.list_keys),
        _route("/{tenant}/discovery/keys", GET=tokens.list_keys),
    ]


def _web() -> list[BaseRoute]:
    message = "/mail/{address}/{message}"
    return [
        _route("/", GET=webmail.list_mailboxes),
        _route("/mail.css", GET=webmail.style),
        _route("/mail/{address}", GET=webmail.list_mail),
        _route(message, GET=webmail.show_mail, POST=webmail.answer_mail),
        _route(f"{message}/body", GET=webmail.show_body),
        _route(f"{message}/attachments/{{attachment}}", GET=webmail.show_attachment),
        _route("/sharing/{token}", GET=sharing.open_link),
        _route("/download/{token}", GET=sharing.open_download),
    ]


def _lifespan(standin: StandIn) -> Lifespan[Starlette]:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for task in list(standin.tasks):
            task.cancel()
        standin.db.close()

    return lifespan


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, GraphError):
        raise error
    return json_reply(error_body(error.code, error.message, request_id(request.scope)), error.status, error.headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    wanted = f"{request.method} {request.url.path}"
    codes = {404: "ResourceNotFound", 405: "Request_BadRequest"}
    body = error_body(
        codes.get(error.status_code, "BadRequest"),
        f"{error.detail}: {wanted} is not answered here.",
        request_id(request.scope),
    )
    return json_reply(body, error.status_code, dict(error.headers or {}))
