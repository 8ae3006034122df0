"""What an operator's instruments see: live and ready, what waits on disk, what is late, what was given up."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import uuid
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest
from azure.core.exceptions import ClientAuthenticationError

from functions import health
from shared import metrics
from shared.engagement.hits import Hit, Kind
from shared.engagement.labels import Label
from shared.graph.client import error_for
from shared.services import folding, recording, watching
from shared.services.recording import Recorder
from shared.services.watching import OK, Readiness
from shared.settings import settings
from shared.storage import account, journal, queues
from shared.storage.account import Unavailable, host_account
from shared.storage.journal import make_row, write_rows
from shared.storage.spool import Spool
from tests.journalled_hits import SENT, a_hit, journalled
from tests.sent_mail import put_sent_email

AT = 1_800_000_000_000
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _forgotten(configured):
    watching._asked = None
    yield
    watching._asked = None


def a_row(at=AT):
    hit = Hit(f"0123456789abcdef-{next(_numbers):012d}", Kind.OPEN, 0, at, "GET", "203.0.113.9", {"accept": "*/*"}, "")
    return make_row(hit, str(uuid.uuid4()), 1)


async def written(organization, rows):
    """Stand for a journal that takes everything."""


def told(gauge):
    """Return what a gauge tells."""
    value = gauge.value()
    assert value is not None
    return value


async def asked():
    """Ask whether the deployment is ready; return status and body."""
    request = func.HttpRequest("GET", "http://127.0.0.1/health/ready", body=b"")
    answer = await health.ready._function.get_user_function()(request)
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, json.loads(answer.get_body())


@pytest.fixture
def storage_is_away(monkeypatch):
    """Let the deployment's storage be where nobody answers."""
    here = host_account()
    away = account.parse_connection_string(
        ";".join(
            [
                f"AccountName={here.name};AccountKey=c2VjcmV0IG9mIHRoZSBhY2NvdW50",
                *(f"{service}Endpoint=http://127.0.0.1:9/{here.name}" for service in ("Table", "Queue", "Blob")),
            ]
        )
    )
    for module in (watching, queues):
        monkeypatch.setattr(module, "host_account", lambda: away)


async def test_a_deployment_whose_storage_answers_is_ready():
    assert await asked() == (
        200,
        {"ready": True, "checks": dict.fromkeys(("settings", "tables", "queues", "spool"), OK)},
    )


async def test_where_storage_is_away_it_lives_and_is_not_ready_and_says_what_to_do(storage_is_away):
    status, body = await asked()
    assert (status, body["ready"], body["checks"]["settings"]) == (503, False, OK)
    for service in ("tables", "queues"):
        assert f"storage's {service} did not answer" in body["checks"][service]
        assert "docs/operations.md" in body["checks"][service]
    assert "c2VjcmV0" not in json.dumps(body)
    live = await health.health._function.get_user_function()(
        func.HttpRequest("GET", "http://127.0.0.1/health", body=b"")
    )
    assert live.status_code == 200


@pytest.fixture
def identity_refused(monkeypatch):
    """Let the deployment's storage take an identity's token that nobody gives out; return its account."""

    class Refusing:
        async def get_token(self, scope):
            raise ClientAuthenticationError("identity not found, for the secret client 1234")

    monkeypatch.setattr(account, "_credential", Refusing())
    nameless = dataclasses.replace(host_account(), key=None)
    for module in (watching, queues):
        monkeypatch.setattr(module, "host_account", lambda: nameless)
    return nameless


async def test_where_the_identity_cannot_sign_in_it_is_not_ready_and_says_so(identity_refused):
    status, body = await asked()
    assert (status, body["ready"]) == (503, False)
    for service in ("tables", "queues"):
        assert f"storage's {service} did not answer (ClientAuthenticationError)" in body["checks"][service]
    assert "secret client" not in json.dumps(body)


async def test_where_the_identity_cannot_sign_in_the_last_count_stays(identity_refused):
    metrics.POISON_MESSAGES.set(5)
    await watching.count_poison()
    assert told(metrics.POISON_MESSAGES) == 5


async def test_where_the_identity_cannot_sign_in_hits_are_spooled_at_once_and_tried_again(
    identity_refused, organization, tmp_path, monkeypatch
):
    monkeypatch.setattr(journal, "account_of", lambda _: identity_refused)
    recorder = Recorder(Spool(tmp_path / "spool", "0123456789abcdef", 1_000_000), budget=30)
    async with asyncio.timeout(5):
        await recorder.record(organization.name, a_row())
    assert recorder.spool.hits == 1
    await asyncio.sleep(0.05)
    assert recorder._drain is not None
    assert not recorder._drain.done(), "it is tried until the identity can sign in"
    recorder._drain.cancel()


async def test_a_wrong_setting_is_named_without_its_value(monkeypatch):
    monkeypatch.setenv("TOKEN_SECRETS", "1:c2hvcnQ=")
    settings.cache_clear()
    status, body = await asked()
    monkeypatch.undo()
    settings.cache_clear()
    assert status == 503
    assert body["checks"]["settings"].startswith("TOKEN_SECRETS must be")
    assert "c2hvcnQ" not in json.dumps(body)


async def test_a_connection_string_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("AzureWebJobsStorage", "AccountName=x")
    host_account.cache_clear()
    status, body = await asked()
    monkeypatch.undo()
    host_account.cache_clear()
    assert status == 503
    assert body["checks"]["settings"].startswith("AzureWebJobsStorage must be a connection")


async def test_a_flood_of_questions_reaches_storage_once(monkeypatch):
    looks = []

    async def look():
        looks.append(1)
        await asyncio.sleep(0.01)
        return Readiness({"settings": OK})

    monkeypatch.setattr(watching, "look", look)
    await asyncio.gather(*(asked() for _ in range(50)))
    await asked()
    assert len(looks) == 1


async def test_what_is_given_up_is_counted_and_a_queue_that_is_not_there_is_empty():
    before = await queues.count_messages("mailbox-poison")
    await make("mailbox-poison")
    for _ in range(3):
        await queues.send("mailbox-poison", {"organization": "contoso"})
    await watching.count_poison()
    assert told(metrics.POISON_MESSAGES) >= before + 3
    assert await queues.count_messages("never-made-poison") == 0


async def make(queue):
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.queue.aio import QueueClient

    async with QueueClient.from_connection_string(host_account().connection_string, queue) as client:
        with contextlib.suppress(ResourceExistsError):
            await client.create_queue()


async def test_storage_that_does_not_answer_leaves_the_last_count(storage_is_away):
    metrics.POISON_MESSAGES.set(5)
    await watching.count_poison()
    assert told(metrics.POISON_MESSAGES) == 5


async def test_hits_in_the_spool_are_told_until_they_are_written(tmp_path):
    spool = Spool(tmp_path / "spool", "0123456789abcdef", 1_000_000)
    for _ in range(3):
        spool.append("contoso", a_row())
    assert spool.hits == 3

    async def refused(organization, rows):
        raise Unavailable(0, "Down")

    with pytest.raises(Unavailable):
        await spool.drain(refused)
    spool.append("contoso", a_row())
    assert spool.hits == 4, "what failed waits on"

    await spool.drain(written)
    assert spool.hits == 0


@pytest.fixture
def two_accounts(tmp_path, monkeypatch):
    """Return the recorders of two storage accounts, of which the first has three hits on disk and the other none."""
    names = {"": tmp_path / "spool", "other": tmp_path / "spool" / "other"}
    made = {name: Recorder(Spool(path, "0123456789abcdef", 1_000_000), 1.0) for name, path in names.items()}
    monkeypatch.setattr(recording, "_recorders", made)
    for _ in range(3):
        made[""].spool.append("contoso", a_row())
    return made[""], made["other"]


async def test_hits_of_every_storage_account_are_told_together(two_accounts):
    full, empty = two_accounts
    empty.spool.adopt()
    assert told(metrics.SPOOL_WAITING) == 3, "one that has none hides no other's"
    empty.spool.append("fabrikam", a_row())
    assert told(metrics.SPOOL_WAITING) == 4
    await full.spool.drain(written)
    assert told(metrics.SPOOL_WAITING) == 1


async def test_a_deployment_is_not_ready_while_hits_of_any_account_wait(two_accounts):
    full, empty = two_accounts
    await full.spool.drain(written)
    assert (await asked())[0] == 200
    watching._asked = None
    empty.spool.append("fabrikam", a_row())
    status, body = await asked()
    assert (status, body["checks"]["tables"]) == (503, OK)
    assert "spool-not-draining in docs/operations.md" in body["checks"]["spool"]


async def test_hits_of_a_process_that_died_are_told_by_the_one_that_adopts_them(tmp_path):
    dead = Spool(tmp_path / "spool", "0123456789abcdef", 1_000_000)
    for _ in range(3):
        dead.append("contoso", a_row())
    assert dead._open is not None
    os.close(dead._open.descriptor)
    heir = Spool(tmp_path / "spool", "fedcba9876543210", 1_000_000)
    heir.adopt()
    assert heir.hits == 3


async def test_a_hit_that_is_lost_is_counted(tmp_path):
    before = metrics.HITS_LOST.values.get((), 0)
    assert not Spool(tmp_path / "spool", "0123456789abcdef", 10).append("contoso", a_row())
    assert metrics.HITS_LOST.values[()] == before + 1


async def test_the_sweep_tells_how_old_the_oldest_unfolded_minute_is(organization):
    minute = 60 * 20_000_000
    await write_rows(organization.name, [a_row(minute * 1000)])
    await folding.sweep(datetime.fromtimestamp(minute + 60 + 300, UTC))
    assert told(metrics.JOURNAL_AGE) >= 300
    partitions = await journal.old_partitions(organization, 20_000_000 + 1)
    for partition in partitions:
        await journal.delete_rows(organization, await journal.read_rows(organization, partition))
    await folding.sweep(datetime.fromtimestamp(minute + 60 + 300, UTC))
    assert told(metrics.JOURNAL_AGE) < 300


async def test_the_fold_tells_how_long_a_hit_waited_and_who_made_it(organization):
    email = await put_sent_email(organization, SENT, 2)
    metrics.FOLD_LAG.take()
    [partition] = await journalled(organization, a_hit(email, after=60), a_hit(email, after=60.5, headers={}))
    await folding.fold_partition(organization.name, partition, SENT + timedelta(seconds=63))
    [(lag, labels)] = metrics.FOLD_LAG.take()
    assert labels == (organization.name,)
    assert 3 <= lag < 30
    counted = {values[1]: n for values, n in metrics.LABELS.values.items() if values[0] == organization.name}
    assert sum(counted.values()) == 2
    assert set(counted) <= {label.name.lower() for label in Label}


async def test_hits_are_counted_by_organization_before_anything_can_fail(organization, tmp_path):
    recorder = Recorder(Spool(tmp_path / "spool", "0123456789abcdef", 10), 1.0)
    recorder.suspended = True
    await recorder.record(organization.name, a_row())
    assert metrics.HITS.values[organization.name,] == 1
    assert recorder._drain is not None
    recorder._drain.cancel()


@pytest.mark.parametrize(("status", "headers"), [(429, {}), (503, {"Retry-After": "3"})])
def test_a_call_that_graph_asks_to_repeat_later_is_counted(status, headers):
    before = metrics.GRAPH_THROTTLED.values.get((str(status),), 0)
    error_for(status, headers, "TooManyRequests", "")
    error_for(500, {}, "", "")
    assert metrics.GRAPH_THROTTLED.values[str(status),] == before + 1
