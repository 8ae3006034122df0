"""Consent through the Web API: its proof and its history, and the organization's columns of privacy."""

from shared.engagement.consent import DENIED, GRANTED, WITHDRAWN
from shared.storage import consents
from tests.withdrawing_world import PROOF

COLUMNS = "ee_consent,ee_consentedon,ee_consentmethod,ee_consentwording,followemail"


async def test_consent_is_recorded_with_its_proof_and_every_change_is_kept(seller):
    contact = await seller.make("contacts", {"lastname": "Lovelace"})
    path = f"contacts({contact})"
    assert (await seller.patch(path, {"ee_consent": GRANTED, **PROOF})).status == 204
    granted = (await seller.get(f"{path}?$select={COLUMNS}")).json
    assert (granted["ee_consent"], granted["ee_consentmethod"], granted["followemail"]) == (GRANTED, "web form", True)
    assert granted["ee_consentedon"]
    withdrawn = {"ee_consent": WITHDRAWN, "ee_consentmethod": "by phone"}
    assert (await seller.patch(path, withdrawn)).status == 204
    shown = (await seller.get(f"{path}?$select={COLUMNS}")).json
    assert (shown["ee_consent"], shown["followemail"], shown["ee_consentwording"]) == (WITHDRAWN, False, None)
    kept = await consents.history(seller.organization, "contact", contact)
    assert [row["ee_consent"] for row in kept] == [GRANTED, WITHDRAWN]
    assert kept[0]["ee_consentwording"] == PROOF["ee_consentwording"]
    assert {row["changedby"] for row in kept} == {seller.user}


async def test_a_row_written_back_as_it_was_read_is_no_change_of_consent(seller):
    contact = await seller.make("leads", {"lastname": "Lovelace", "ee_consent": GRANTED, **PROOF})
    read = (await seller.get(f"leads({contact})?$select={COLUMNS}")).json
    sent = {name: read[name] for name in COLUMNS.split(",")}
    assert (await seller.patch(f"leads({contact})", sent)).status == 204
    assert len(await consents.history(seller.organization, "lead", contact)) == 1


async def test_consent_without_proof_is_refused_naming_what_is_missing(seller):
    answer = await seller.post("contacts", {"lastname": "Lovelace", "ee_consent": GRANTED, "ee_consentmethod": "form"})
    assert answer.status == 400
    assert "ee_consentwording" in answer.error
    answer = await seller.post("contacts", {"lastname": "Lovelace", "ee_consent": 7})
    assert answer.status == 400


async def test_a_denial_sets_followemail_false_in_any_way_of_writing(seller):
    account = await seller.make("accounts", {"name": "Contoso", "ee_consent": DENIED})
    assert (await seller.get(f"accounts({account})?$select=followemail")).json["followemail"] is False
    rows = {"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.lead", "lastname": "Byron", "ee_consent": DENIED}]}
    answer = await seller.post("leads/Microsoft.Dynamics.CRM.CreateMultiple", rows)
    assert answer.status == 200, answer.body
    [lead] = answer.json["Ids"]
    assert (await seller.get(f"leads({lead})?$select=followemail")).json["followemail"] is False


async def test_a_change_set_that_fails_leaves_no_history(seller):
    contact = await seller.make("contacts", {"lastname": "Lovelace"})
    rows = {
        "Targets": [
            {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact, "ee_consent": DENIED},
            {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact, "ee_consent": GRANTED},
        ]
    }
    assert (await seller.post("contacts/Microsoft.Dynamics.CRM.UpdateMultiple", rows)).status == 400
    assert await consents.history(seller.organization, "contact", contact) == []
    assert await consents.ending(seller.organization, "contact", contact) is None


async def test_an_administrator_sets_mode_link_and_retention_and_nobody_else(administrator, seller):
    path = f"organizations({administrator.organization.id})"
    names = "ee_consentmode,ee_withdrawallink,ee_withdrawaltext,ee_retentiondays"
    shown = (await seller.get(f"{path}?$select={names}")).json
    assert [shown[name] for name in names.split(",")] == [0, False, None, None]
    wanted = {"ee_consentmode": 1, "ee_withdrawallink": True, "ee_withdrawaltext": "Stop", "ee_retentiondays": 90}
    assert (await seller.patch(path, wanted)).status == 403
    assert (await administrator.patch(path, wanted)).status == 204
    assert (await administrator.get(f"{path}?$select={names}")).json.items() >= wanted.items()
    assert (await administrator.patch(path, {"ee_retentiondays": None, "ee_withdrawaltext": None})).status == 204
    shown = (await administrator.get(f"{path}?$select={names}")).json
    assert (shown["ee_retentiondays"], shown["ee_withdrawaltext"]) == (None, None)
    for wrong in ({"ee_consentmode": 2}, {"ee_consentmode": None}, {"ee_retentiondays": 0}):
        assert (await administrator.patch(path, wrong)).status == 400
