"""Two organizations side by side: whatever one is asked with the other's ids and tokens, nothing of the other is told,
changed or counted. Every table and every operation is walked, as the schema names them."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import orjson
import pytest
import pytest_asyncio

from functions import mailbox, recipients
from shared.engagement.notifications import client_state
from shared.engagement.tokens import Token, TokenKind, mint
from shared.services import folding
from shared.settings import settings
from shared.storage import blobs, emails, journal, queues, records
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from shared.webapi.operations import OPERATIONS, ROWS
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES
from tests.entra import Issuer
from tests.organizations import an_organization
from tests.sent_mail import put_sent_email
from tests.storage_dump import dump, messages
from tests.web_client import Answer, Client

MARK = "OnlyContosoKnows"
NOW = datetime.now(UTC)


@dataclass
class World:
    """Contoso, which has something in every table, and an administrator of fabrikam, who knows all ids."""

    contoso: Organization
    fabrikam: Organization
    owner: Client
    stranger: Client
    ids: dict[str, str] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)

    def check(self, answer: Answer, what: str) -> None:
        """An answer to a stranger, who has asked for `what`, is no breakdown and tells nothing beyond what was said."""
        assert answer.status < 500 or answer.status == 501, f"{what}: {answer.status} {answer.body[:300]!r}"
        told = answer.body.decode("utf-8", "replace") + json.dumps(answer.headers)
        secrets = {MARK, *self.ids.values()} - {word for word in self.ids.values() if word in what}
        assert not [secret for secret in secrets if secret in told], f"{what} tells: {told[:300]}"

    def named(self, table: Table) -> str:
        return f"{table.set}({self.ids[table.logical]})"


@pytest_asyncio.fixture
async def world(configured: None, issuer: Issuer) -> AsyncIterator[World]:
    async with an_organization() as contoso, an_organization() as fabrikam:
        owner = Client(contoso, issuer, roles=("Administrator",))
        stranger = Client(fabrikam, issuer, roles=("Administrator",))
        made = World(contoso, fabrikam, owner, stranger)
        await fill(made)
        for client in (owner, stranger):
            assert (await client.get("WhoAmI")).status == 200
        made.before = await everything(contoso)
        yield made


async def everything(organization: Organization) -> dict[str, Any]:
    hits = [row async for page in organization.tables.query(organization.journal) for row in page]
    return {**await dump(organization), "journal": hits}


async def fill(world: World) -> None:
    """Give contoso a row in every table, each with the mark."""
    contoso, ids = world.contoso, world.ids
    mail = await put_sent_email(contoso, NOW - timedelta(hours=1), owner=world.owner.user, subject=MARK, file=MARK)
    for table in TABLES.values():
        ids[table.logical] = str(uuid.uuid4())
        if table.kept == "record":
            row = {table.id: ids[table.logical], table.name: MARK, "ownerid": world.owner.user, "statecode": 0}
            await records.insert(contoso, table.logical, ids[table.logical], row)
        elif table.kept == "child":
            key = f"{table.prefix}{ids[table.logical]}"
            row = {"PartitionKey": mail, "RowKey": key, table.id: ids[table.logical], table.name: MARK}
            row |= {"_blob": "attachments/x", "filename": MARK, "subject": MARK, "_name": MARK}
            await contoso.tables.apply(contoso.emails, Operation("put", row))
            await records.insert(contoso, table.logical, ids[table.logical], {"email": mail})
    ids |= {table.logical: mail for table in TABLES.values() if table.kept == "email"}
    ids |= {"organization": contoso.id, "systemuser": world.owner.user}
    user = {"systemuserid": world.owner.user, "fullname": MARK, "internalemailaddress": f"{MARK}@contoso.example"}
    await records.put(contoso, "systemuser", world.owner.user, user)
    await blobs.put(contoso, emails.image_blob(mail, 0), MARK.encode())
    await blobs.put(contoso, "attachments/x", MARK.encode())


@pytest.mark.parametrize("logical", TABLES)
async def test_reading_a_table_shows_nothing_of_the_other(world: World, logical: str) -> None:
    table = TABLES[logical]
    row, known = world.named(table), world.ids[logical]
    asked = [
        table.set, f"{table.set}?$count=true", f"{table.set}/$count", f"{table.set}?$filter={table.id} eq {known}",
        f"{table.set}?$filter=contains({table.name},'{MARK[:6]}')", row, f"{row}?$select={table.name}",
        *(f"{row}/{column.wire}" for column in table.columns),
        *(f"{row}/{column.wire}/$value" for column in table.columns),
        *(f"{row}/{name}" for name in (*table.by_navigation, *table.collections)),
        *(f"{row}/{name}/$ref" for name in (*table.by_navigation, *table.collections)),
        *(f"{row}?$expand={name}" for name in (*table.by_navigation, *table.collections)),
        *(f"{table.set}?$expand={name}" for name in (*table.by_navigation, *table.collections)),
        *(f"{table.set}?$filter={column.wire} eq {known}" for column in table.columns if column.targets),
    ]  # fmt: skip
    for path in asked:
        answer = await world.stranger.get(path)
        world.check(answer, path)
        if path.startswith(row):
            assert answer.status in (400, 404, 405), f"{path}: {answer.status}"
    for path in (row, f"{row}/{table.name}") if table.kept != "organization" else ():
        assert (await world.owner.get(path)).status in (200, 404), "what is hidden is there"


@pytest.mark.parametrize("logical", TABLES)
async def test_writing_to_a_table_changes_nothing_of_the_other(world: World, logical: str) -> None:
    table = TABLES[logical]
    row, known = world.named(table), world.ids[logical]
    theirs, navigations = {"@odata.id": f"{world.owner.base}/{row}"}, (*table.by_navigation, *table.collections)
    bindings = [
        {f"{name}@odata.bind": f"{prefix}{TABLES[target].set}({world.ids[target]})"}
        for name, (_, target) in table.by_navigation.items()
        for prefix in ("/", f"{world.owner.base}/")
    ]
    only_if_there = {"If-Match": "*"}
    tried: list[tuple[str, str, Any, dict[str, str]]] = [
        ("PATCH", row, {table.name: "Taken"}, only_if_there),
        ("DELETE", row, None, {}),
        *(("PUT", f"{row}/{column.wire}", {"value": "Taken"}, {}) for column in table.columns),
        *(("DELETE", f"{row}/{column.wire}", None, {}) for column in table.columns),
        *(("POST", table.set, binding, {}) for binding in bindings),
        *(("PATCH", row, binding, only_if_there) for binding in bindings),
        *(
            ("PUT", f"{row}/{name}/$ref", {"@odata.id": f"{world.owner.base}/{row}"}, {})
            for name in table.by_navigation
        ),
        *(("POST", f"{row}/{name}/$ref", theirs, {}) for name in table.collections),
        *(("DELETE", f"{row}/{name}/$ref", None, {}) for name in navigations),
        ("POST", table.set, {table.id: known, table.name: "Mine"}, {}),
        ("PATCH", row, {table.name: "Mine"}, {}),
    ]
    for method, path, body, headers in tried:
        answer = await world.stranger.send(method, path, body, headers=headers)
        world.check(answer, f"{method} {path} {body}")
        assert answer.status >= 400 or method in ("POST", "PATCH") or body is None, f"{method} {path}: {answer.status}"
    assert await everything(world.contoso) == world.before


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_does_nothing_to_the_other(world: World, name: str) -> None:
    operation = OPERATIONS[name]
    tables = [TABLES[operation.bound]] if operation.bound in TABLES else list(TABLES.values())
    for table in tables:
        body = {parameter: _argument(world, table, edm) for parameter, edm in operation.parameters.items()}
        places = [
            name,
            f"{table.set}/Microsoft.Dynamics.CRM.{name}",
            f"{world.named(table)}/Microsoft.Dynamics.CRM.{name}",
        ]
        for path in places:
            for method, sent in (("POST", body), ("GET", None)):
                answer = await world.stranger.send(method, path, sent)
                world.check(answer, f"{method} {path} {body}")
                if path.startswith(world.named(table)):
                    assert answer.status >= 400
    assert await everything(world.contoso) == world.before


def _argument(world: World, table: Table, edm: str) -> Any:
    """Return an argument that is the other's, of whatever type an operation takes."""
    known = world.ids[table.logical]
    row = {"@odata.type": f"Microsoft.Dynamics.CRM.{table.logical}", table.id: known}
    plain = edm.rstrip("?")
    if plain == ROWS:
        return [{**row, table.name: "Taken"}]
    if plain == "Collection(mscrm.QueryExpression)":
        condition = {"AttributeName": table.id, "Operator": "In", "Values": [{"Value": known, "Type": "System.Guid"}]}
        return [{"EntityName": table.logical, "Criteria": {"Conditions": [condition], "FilterOperator": "And"}}]
    if plain.startswith("Collection("):
        return [row]
    return {"Edm.Boolean": True, "Edm.String": known, "Edm.Guid": known, "Edm.Int32": 1, "Edm.Int64": 1}.get(plain, row)


async def test_a_batch_reaches_no_other_organization(world: World) -> None:
    paths = [
        *(f"{world.owner.base}/{world.named(table)}" for table in TABLES.values()),
        *(f"/{world.contoso.name}/api/data/v9.2/{table.set}" for table in TABLES.values()),
        *(world.named(table) for table in TABLES.values()),
        *(f"../../../../{world.contoso.name}/api/data/v9.2/{table.set}" for table in TABLES.values()),
    ]
    parts = [
        "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"{method} {path} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        for path in paths
        for method, body in (("GET", ""), ("DELETE", ""))
    ]
    answer = await world.stranger.send(
        "POST",
        "$batch",
        ("".join(parts) + "--b--\r\n").encode(),
        headers={"Content-Type": "multipart/mixed; boundary=b", "Prefer": "odata.continue-on-error"},
    )
    world.check(answer, " ".join(paths))
    assert answer.body.count(b"HTTP/1.1 4") == len(parts), "each is refused"
    assert await everything(world.contoso) == world.before


async def test_a_token_of_the_other_tenant_opens_no_path_at_all(world: World) -> None:
    paths = ["", "$metadata", "$batch", "WhoAmI", *(table.set for table in TABLES.values()), *OPERATIONS]
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        for path in paths:
            answer = await world.stranger.send(method, f"{world.owner.base}/{path}", {})
            assert answer.status == 403, f"{method} {path}: {answer.status}"
            world.check(answer, path)
    assert await everything(world.contoso) == world.before


async def test_links_of_one_touch_nothing_of_the_other(world: World) -> None:
    mail = uuid.UUID(world.ids["email"])
    functions: Any = {
        TokenKind.OPEN: recipients.pixel, TokenKind.LINK: recipients.link, TokenKind.ATTACHMENT: recipients.attachment,
        TokenKind.IMAGE: recipients.image, TokenKind.QUIET_IMAGE: recipients.image,
    }  # fmt: skip
    for kind, function in functions.items():
        token = Token(1, world.fabrikam.name, kind, mail, 0, 0, "https://example.com/")
        rest = mint(token, settings().token_secrets)
        request = func.HttpRequest("GET", "http://127.0.0.1/", headers={}, body=b"", route_params={"rest": rest})
        answer = await function._function.get_user_function()(request)
        assert answer.status_code in (200, 302)
        assert MARK.encode() not in answer.get_body()
    rows = [row async for page in world.fabrikam.tables.query(world.fabrikam.journal) for row in page]
    assert sum(len(journal.hits_of(row)) for row in rows) == 4
    for partition in {row["PartitionKey"] for row in rows}:
        await folding.fold_partition(world.fabrikam.name, partition, NOW + timedelta(minutes=5))
    assert await emails.get_email(world.fabrikam, str(mail)) is None
    assert await everything(world.contoso) == world.before


async def test_a_notification_is_of_the_organization_that_signed_it_whatever_it_names(world: World) -> None:
    for queue in queues.QUEUES:
        await messages(world.contoso, queue)
    state = client_state(world.fabrikam.name, world.stranger.user, 1, settings().token_secrets)
    resource = f"users/{world.owner.user}/messages/{world.ids['email']}"
    notification = {
        "clientState": state,
        "resource": resource,
        "tenantId": world.contoso.tenant,
        "resourceData": {"id": "m"},
        "organization": world.contoso.name,
        "mailbox": world.owner.user,
    }
    foreign = {**notification, "clientState": state.replace(world.fabrikam.name, world.contoso.name)}
    for function in (mailbox.notifications, mailbox.lifecycle):
        body = orjson.dumps({"value": [notification, foreign]})
        request = func.HttpRequest("POST", "http://127.0.0.1/", headers={}, params={}, body=body)
        answer = await function._function.get_user_function()(request)
        assert answer.status_code == 202
    assert not [message for queue in queues.QUEUES for message in await messages(world.contoso, queue)]
    assert await everything(world.contoso) == world.before
