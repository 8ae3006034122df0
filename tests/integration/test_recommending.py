"""Recommended templates: what the service writes into their records, and what ee_RecommendTemplates tells a client."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.engagement.tallies import Tally, dump_weeks, week_of
from shared.engagement.times import milliseconds
from shared.services.recommending import judge, judge_everywhere
from shared.storage import records
from shared.storage.account import PreconditionFailed, Unavailable
from shared.storage.organizations import Organization
from tests.organizations import an_organization
from tests.storage_dump import dump
from tests.web_client import Answer, Client

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
GOOD, FAIR = Tally(400, 400, 200, 80, 20), Tally(400, 400, 180, 20, 10)


def sent(tally: Tally, weeks_ago: int = 3) -> str:
    return dump_weeks({week_of(milliseconds(NOW)) - weeks_ago: tally})


async def template(
    client: Client, title: str, *, of: str = "contact", personal: bool = False, **evidence: Tally
) -> str:
    """Make a template whose mails of three weeks ago for a kind of record fared as `evidence` says."""
    columns = {"title": title, "subject": "Hello", "templatetypecode": of, "languagecode": 1033, "ispersonal": personal}
    made = await client.make("templates", columns)
    told = {f"_evidence_{kind}": sent(tally) for kind, tally in evidence.items()}
    await records.merge(client.organization, "template", made, told)
    return made


async def recommended(organization: Organization) -> set[str]:
    """Return the titles of the templates that clients see as recommended."""
    rows = [row async for page in records.query(organization, "template") for row in page]
    return {row["title"] for row in rows if row.get("isrecommended")}


async def ask(client: Client, kind: Any = "contact") -> Answer:
    return await client.post("ee_RecommendTemplates", {"ObjectType": kind}, now=NOW)


async def titles(client: Client, kind: str = "contact") -> list[str]:
    return [told["Title"] for told in (await ask(client, kind)).json["Templates"]]


async def test_the_template_that_is_answered_more_often_is_recommended(seller: Client) -> None:
    good = await template(seller, "Good", contact=GOOD)
    for number in range(3):
        await template(seller, f"Fair {number}", contact=FAIR)
    await judge(seller.organization, NOW)
    assert await recommended(seller.organization) == {"Good"}
    shown = (await seller.get(f"templates({good})?$select=title,isrecommended")).json
    assert (shown["title"], shown["isrecommended"]) == ("Good", True)
    assert not any(name.startswith("_") and name.endswith("recommended") for name in shown)


async def test_judging_again_writes_nothing(seller: Client) -> None:
    for title, tally in (("Good", GOOD), ("Fair", FAIR), ("Also fair", FAIR)):
        await template(seller, title, contact=tally)
    await judge(seller.organization, NOW)
    before = await dump(seller.organization)
    await judge(seller.organization, NOW + timedelta(hours=1))
    assert await dump(seller.organization) == before


async def test_a_template_that_nobody_uses_any_more_is_not_recommended_for_ever(seller: Client) -> None:
    for title, tally in (("Good", GOOD), ("Fair", FAIR), ("Also fair", FAIR)):
        await template(seller, title, contact=tally)
    await judge_everywhere(NOW)
    assert await recommended(seller.organization) == {"Good"}
    await judge_everywhere(NOW + timedelta(days=3 * 365))
    assert await recommended(seller.organization) == set()


async def test_an_organization_whose_storage_fails_keeps_no_other_from_being_judged(
    seller: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await template(seller, "Good", contact=GOOD)
    await template(seller, "Fair", contact=FAIR)
    query = records.query
    async with an_organization("aaa" + uuid.uuid4().hex[:12]) as broken:

        def failing(organization: Organization, *rest: Any, **options: Any) -> Any:
            if organization.name == broken.name:
                raise Unavailable(503, "ServerBusy")
            return query(organization, *rest, **options)

        with monkeypatch.context() as patch:
            patch.setattr(records, "query", failing)
            await judge_everywhere(NOW)
    assert f"the templates of {broken.name} are judged in an hour" in caplog.text
    assert await recommended(seller.organization) == {"Good"}


async def test_a_template_is_judged_by_its_own_kind_of_record(seller: Client) -> None:
    await template(seller, "For leads", of="lead", contact=GOOD, lead=FAIR)
    await template(seller, "For contacts", contact=GOOD, lead=FAIR)
    for kind in ("contact", "lead"):
        for number in range(2):
            await template(seller, f"Fair {kind} {number}", of=kind, contact=FAIR, lead=FAIR)
    await judge(seller.organization, NOW)
    assert await recommended(seller.organization) == {"For contacts"}


async def test_a_global_template_is_recommended_where_it_is_for_any_kind_of_record(seller: Client) -> None:
    everywhere = await template(seller, "Everywhere", of="systemuser", contact=FAIR, lead=GOOD)
    for kind in ("contact", "lead"):
        for number in range(3):
            await template(seller, f"Fair {kind} {number}", of=kind, contact=FAIR, lead=FAIR)
    await judge(seller.organization, NOW)
    assert await recommended(seller.organization) == {"Everywhere"}
    by_kind = {kind: (await ask(seller, kind)).json["Templates"] for kind in ("contact", "lead", "account")}
    told = {kind: {t["TemplateId"]: t["IsRecommended"] for t in found} for kind, found in by_kind.items()}
    assert told["lead"][everywhere]
    assert not told["contact"][everywhere]
    assert told["account"] == {everywhere: False}


async def test_a_deleted_template_does_not_come_back(seller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await template(seller, "Good", contact=GOOD)
    await template(seller, "Fair", contact=FAIR)
    get, merge = records.get, records.merge

    async def deleted_before(organization: Organization, table: str, id: str) -> Any:
        await records.delete(organization, table, id)
        return await get(organization, table, id)

    with monkeypatch.context() as patch:
        patch.setattr(records, "get", deleted_before)
        await judge(seller.organization, NOW)
    assert await get(seller.organization, "template", good) is None

    again = await template(seller, "Good", contact=GOOD)

    async def deleted_meanwhile(organization: Organization, table: str, id: str, *rest: Any) -> str:
        await records.delete(organization, table, id)
        return await merge(organization, table, id, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(records, "merge", deleted_meanwhile)
        await judge(seller.organization, NOW)
    assert await get(seller.organization, "template", again) is None


async def test_a_change_at_the_same_time_is_kept(seller: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await template(seller, "Good", contact=GOOD)
    await template(seller, "Fair", contact=FAIR)
    merge, failures = records.merge, 0

    async def changed_meanwhile(organization: Organization, table: str, id: str, *rest: Any) -> str:
        nonlocal failures
        if not failures:
            await merge(organization, table, id, {"usedcount": 401})
        try:
            return await merge(organization, table, id, *rest)
        except PreconditionFailed:
            failures += 1
            raise

    monkeypatch.setattr(records, "merge", changed_meanwhile)
    await judge(seller.organization, NOW)
    row = await records.get(seller.organization, "template", good)
    assert row is not None
    assert (row["usedcount"], row["isrecommended"], failures) == (401, True, 1)


async def test_a_template_that_became_one_for_another_table_meanwhile_is_left_to_the_next_time(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = await template(seller, "Good", contact=GOOD)
    await template(seller, "Fair", contact=FAIR)
    get = records.get

    async def changed_before(organization: Organization, table: str, id: str) -> Any:
        await records.merge(organization, table, id, {"templatetypecode": "lead"})
        return await get(organization, table, id)

    with monkeypatch.context() as patch:
        patch.setattr(records, "get", changed_before)
        await judge(seller.organization, NOW)
    assert await recommended(seller.organization) == set()
    await records.merge(seller.organization, "template", good, {"templatetypecode": "contact"})
    await judge(seller.organization, NOW)
    await records.merge(seller.organization, "template", good, {"templatetypecode": "lead"})
    assert await recommended(seller.organization) == {"Good"}
    await judge(seller.organization, NOW)
    assert await recommended(seller.organization) == set()


async def test_a_client_gets_the_templates_that_fit_ranked_with_rates_and_reason(seller: Client) -> None:
    good = await template(seller, "Good", contact=GOOD)
    rare = await template(seller, "Rare", contact=Tally(3, 3, 3, 3, 3))
    await template(seller, "Fair", contact=FAIR)
    await template(seller, "Also fair", contact=FAIR)
    await template(seller, "For leads", of="lead", lead=GOOD)
    await judge(seller.organization, NOW)
    answer = await ask(seller)
    assert answer.status == 200
    assert answer.json["@odata.context"].endswith("$metadata#Microsoft.Dynamics.CRM.ee_RecommendTemplatesResponse")
    first, *others = answer.json["Templates"]
    assert first == {
        "TemplateId": good,
        "Title": "Good",
        "LanguageCode": 1033,
        "IsRecommended": True,
        "ReplyRate": 20,
        "ReplyRateLow": 14,
        "ReplyRateHigh": 27,
        "OpenRate": 50,
        "OpenRateLow": 42,
        "OpenRateHigh": 58,
        "ClickRate": 5,
        "FollowedEmails": 400,
        "Evidence": 379,
        "Reason": "Its mails are answered more often than others': 20 % (between 14 and 27 %) of its mails are "
        "answered, 5 % of the median template's.",
    }
    assert {told["Title"] for told in others} == {"Fair", "Also fair", "Rare"}
    (told,) = [told for told in others if told["TemplateId"] == rare]
    assert (told["ReplyRate"], told["IsRecommended"], told["Evidence"]) == (100, False, 2)
    assert "too early to say: 2 of its mails count so far, 50 are needed" in told["Reason"]


async def test_others_personal_templates_are_not_shown(seller: Client, issuer: Any) -> None:
    colleague = Client(seller.organization, issuer)
    await template(seller, "Everybody's", contact=FAIR)
    await template(seller, "Mine", personal=True, contact=FAIR)
    await template(colleague, "Theirs", personal=True, contact=GOOD)
    assert sorted(await titles(seller)) == ["Everybody's", "Mine"]
    assert sorted(await titles(colleague)) == ["Everybody's", "Theirs"]


async def test_asking_writes_nothing(seller: Client) -> None:
    await template(seller, "Good", contact=GOOD)
    await template(seller, "Fair", contact=FAIR)
    before = await dump(seller.organization)
    assert (await ask(seller)).json["Templates"][0]["IsRecommended"]
    assert await dump(seller.organization) == before


async def test_without_templates_there_is_nothing_to_recommend(seller: Client) -> None:
    assert (await ask(seller)).json["Templates"] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "needs the parameter 'ObjectType', the kind of record that mail is written to: one of contact, account"),
        ({"ObjectType": None}, "one of contact, account, lead"),
        ({"ObjectType": ["contact"]}, "one of contact, account, lead"),
        ({"ObjectType": {}}, "one of contact, account, lead"),
        ({"ObjectType": "Contact"}, "not 'Contact': one of contact, account, lead"),
        ({"ObjectType": "x" * 5000}, f"not '{'x' * 64}': one of contact, account, lead"),
        ({"ObjectType": "contact", "Top": 3}, "The parameter 'Top'"),
    ],
)
async def test_an_unknown_kind_of_record_is_refused_by_name(seller: Client, body: dict[str, Any], words: str) -> None:
    answer = await seller.post("ee_RecommendTemplates", body)
    assert (answer.status, words in answer.error) == (400, True), answer.error


async def test_a_record_of_another_version_is_judged_without_evidence(seller: Client) -> None:
    row = {"title": "Bare", "templatetypecode": "contact", "templateid": str(uuid.uuid4())}
    await records.insert(seller.organization, "template", row["templateid"], row)
    await judge(seller.organization, NOW)
    assert await titles(seller) == [], "a template says whose it is"
