"""npm dynamics-web-api, unchanged, against the running service: what each step of dynamics_web_api.cjs brought."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from local import azurite
from tests.running_service import Seller, Service, eventually

SCRIPT = Path(__file__).with_name("dynamics_web_api.cjs")
FORMATTED = "@OData.Community.Display.V1.FormattedValue"
ADDRESS = f"{uuid.uuid4().hex}@client.example"
NOBODY = str(uuid.UUID(int=9))


class Steps:
    """What the steps of the script brought, by their names."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = {line["step"]: line for line in lines}

    def value(self, step: str) -> Any:
        line = self.lines[step]
        assert "error" not in line, line["error"]
        return line["value"]

    def error(self, step: str) -> dict[str, Any]:
        line = self.lines[step]
        assert "error" in line, line
        return dict(line["error"])


@pytest.fixture(scope="module")
def steps(service: Service, manager: Seller) -> Steps:
    """Run the script, every step of which goes on where one fails."""
    # The client takes a proxy from the environment for loopback too.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | {
        "NODE_PATH": str(azurite.NODE_MODULES),
        "SERVER_URL": f"{service.url}/contoso/",
        "TOKEN": service.token("seller@contoso.example"),
        "ADDRESS": ADDRESS,
        "THEIRS": manager.create("contacts", lastname="Theirs"),
    }
    ended = subprocess.run(
        [azurite.node(), SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return Steps([json.loads(line) for line in ended.stdout.splitlines()])


# Rows


def test_creating_brings_the_id(steps: Steps) -> None:
    assert uuid.UUID(steps.value("create"))
    assert uuid.UUID(steps.value("create an email"))


def test_creating_brings_the_row_on_request(steps: Steps) -> None:
    row = steps.value("create and return")
    assert row["fullname"] == "Hopper"
    assert uuid.UUID(row["contactid"])
    assert row["@odata.etag"].startswith('W/"')


def test_a_row_is_retrieved_with_annotations_and_expanded_rows(steps: Steps) -> None:
    row = steps.value("retrieve")
    assert (row["subject"], row["statuscode"], row["statuscode_Formatted"]) == ("Offer", 1, "Draft")
    assert row["_regardingobjectid_value"] == steps.value("create")
    assert row["_regardingobjectid_value_LogicalName"] == "contact"
    assert {party["addressused"] for party in row["email_activity_parties"]} == {"alan@x.example", "stranger@y.example"}


def test_times_become_dates_and_letters_survive(steps: Steps) -> None:
    assert steps.value("times become dates") is True
    assert steps.value("letters survive") == "Tür ing"


def test_what_a_lookup_points_at_is_retrieved(steps: Steps) -> None:
    assert steps.value("retrieve a lookup")["emailaddress1"] == "alan@x.example"


def test_a_row_that_is_not_there_is_an_error_with_its_code(steps: Steps) -> None:
    for step, table in (("retrieve nobody", "email"), ("update nobody", "contact")):
        assert steps.error(step) == {
            "code": "0x80040217",
            "message": f"{table} With Id = {NOBODY} Does Not Exist",
            "status": 404,
        }


def test_a_row_that_has_not_changed_is_not_sent_again(steps: Steps) -> None:
    assert steps.value("retrieve unless unchanged") is None


def test_a_row_is_changed(steps: Steps) -> None:
    assert steps.value("update") is True
    assert steps.value("update and return")["fullname"] == "Hop"
    row = steps.value("update one column")
    assert (row["jobtitle"], row["lastname"]) == ("Admiral", "Hop")


def test_a_row_that_somebody_else_changed_is_left_alone(steps: Steps) -> None:
    assert steps.value("update what has changed") is False
    assert steps.value("delete what has changed") is False


def test_a_row_is_upserted_by_its_id(steps: Steps) -> None:
    made, first, second = steps.value("upsert")
    assert first == second == made
    assert steps.value("upsert only what is new") is None
    assert steps.value("upsert only what is there") is None


def test_a_row_is_upserted_by_an_alternate_key(steps: Steps) -> None:
    assert steps.value("upsert by an alternate key") == {"same": True, "fullname": "Ada Lovelace"}


def test_rows_are_associated_and_taken_apart_by_a_lookup(steps: Steps) -> None:
    assert steps.value("associate by a lookup") == [True, None]


def test_rows_are_associated_and_taken_apart_by_a_collection(steps: Steps) -> None:
    assert steps.value("associate by a collection") == [True, None]


def test_a_row_is_created_in_a_collection(steps: Steps) -> None:
    assert steps.value("create in a collection") == 2


def test_a_row_and_a_column_are_deleted(steps: Steps) -> None:
    assert steps.value("delete a column")["jobtitle"] is None
    assert steps.value("delete") is True
    assert steps.error("delete again")["status"] == 404


# Lists


def test_a_list_is_filtered_sorted_cut_and_counted(steps: Steps) -> None:
    found = steps.value("list")
    assert [row["firstname"] for row in found["value"]] == ["E", "D"]
    assert found["oDataCount"] == 4


def test_a_list_is_expanded(steps: Steps) -> None:
    (row,) = steps.value("list with expanded rows")["value"]
    assert row["ownerid"]["fullname"] == "Sella Seller"


def test_guids_may_stand_in_braces(steps: Steps) -> None:
    assert steps.value("list of a guid in braces") == ["E"]


def test_pages_bring_every_row_once_and_in_order(steps: Steps) -> None:
    assert steps.value("pages") == [["E", "D"], ["C", "B"], ["A"]]
    assert steps.value("all pages") == list("ABCDE")


def test_rows_are_counted(steps: Steps) -> None:
    assert steps.value("count") == [True, 5, 5]


def test_a_question_too_long_for_an_address_comes_in_a_batch(steps: Steps) -> None:
    assert steps.value("a question too long for an address") == ["A"]


# Batches


def test_a_batch_answers_each_request(steps: Steps) -> None:
    listed, created, updated, returned, deleted, me = steps.value("batch")
    assert [row["firstname"] for row in listed["value"]] == ["Alan"]
    assert uuid.UUID(created)
    assert updated is True
    assert returned["lastname"] == "Returned"
    assert deleted is True
    assert uuid.UUID(me["UserId"])


def test_a_change_set_refers_to_what_it_creates(steps: Steps) -> None:
    assert steps.value("references") == ["Engineer", True]


def test_a_change_set_adds_to_a_collection_of_what_it_creates(steps: Steps) -> None:
    assert steps.value("create in a collection of what a change set created") == 1


def test_a_change_set_that_fails_leaves_nothing(steps: Steps) -> None:
    answers = steps.value("a change set that fails")
    assert answers == [{"code": "0x80040217", "message": f"contact With Id = {NOBODY} Does Not Exist", "status": 404}]
    assert steps.value("what a failed change set leaves") == ["Alan"]


@pytest.mark.parametrize(("name", "left"), [("a batch that stops", ["A"]), ("a batch that goes on", ["A", "B"])])
def test_a_batch_stops_at_the_first_error_unless_told_to_go_on(steps: Steps, name: str, left: list[str]) -> None:
    first, wrong, *rest = steps.value(name)
    assert uuid.UUID(first)
    assert (wrong["status"], wrong["code"]) == (400, "0x80060888")
    assert len(rest) == len(left) - 1
    assert steps.value(f"what {name} leaves") == left


# Actions and functions


def test_whoami_names_the_caller(steps: Steps, service: Service) -> None:
    assert steps.value("whoami")["UserId"] == service.seller().id


def test_an_email_is_sent(steps: Steps, service: Service) -> None:
    assert steps.value("SendEmail")["Subject"] == "Offer by dynamics-web-api"
    (message,) = eventually(lambda: service.mailbox(ADDRESS), bool)
    assert message["subject"] == "Offer by dynamics-web-api"


def test_an_attachment_is_followed_and_not_followed(steps: Steps) -> None:
    assert steps.value("FollowEmailAttachment") == [None, True]
    assert steps.value("UnfollowEmailAttachment") == [None, False]


def test_a_tracking_token_is_given(steps: Steps) -> None:
    assert steps.value("GetTrackingTokenEmail")["TrackingToken"]


def test_many_rows_are_created_by_an_action(steps: Steps) -> None:
    assert len(set(steps.value("CreateMultiple")["Ids"])) == 2


# Metadata


def test_tables_are_found(steps: Steps) -> None:
    (found,) = steps.value("retrieveEntities")["value"]
    assert (found["LogicalName"], found["EntitySetName"]) == ("email", "emails")
    assert steps.value("retrieveEntity")["PrimaryIdAttribute"] == "activityid"
    assert steps.value("retrieveEntity by id")["EntitySetName"] == "emails"
    assert steps.value("names of tables instead of sets") == "Named"


def test_columns_and_their_choices_are_found(steps: Steps) -> None:
    (found,) = steps.value("retrieveAttributes")["value"]
    labels = {
        option["Value"]: option["Label"]["UserLocalizedLabel"]["Label"] for option in found["OptionSet"]["Options"]
    }
    assert labels == {0: "Low", 1: "Normal", 2: "High"}
    assert steps.value("retrieveAttribute")["MaxLength"] == 800
    assert steps.value("retrieveAttribute of a type")["MaxLength"] == 800


def test_relationships_are_found(steps: Steps) -> None:
    found = steps.value("retrieveRelationships")["value"]
    assert "regardingobjectid_contact_email" in {row["ReferencingEntityNavigationPropertyName"] for row in found}


def test_one_relationship_is_found_by_its_id(steps: Steps) -> None:
    assert steps.value("retrieveRelationship") is True


def test_there_are_no_global_choices(steps: Steps) -> None:
    assert steps.value("retrieveGlobalOptionSets")["value"] == []


def test_the_model_is_read(steps: Steps) -> None:
    assert "<edmx:Edmx" in steps.value("retrieveCsdlMetadata")


# Errors


def test_errors_carry_code_message_and_status(steps: Steps) -> None:
    message = "Could not find a property named 'nosuch' on type 'Microsoft.Dynamics.CRM.email'."
    for step in ("unknown column", "unknown column in a list"):
        assert steps.error(step) == {"code": "0x80060888", "message": message, "status": 400}
    wrong = steps.error("wrong type")
    assert (wrong["code"], wrong["status"]) == ("0x80048d19", 400)
    assert "followemailuserpreference" in wrong["message"]
    unknown = {"code": "0x8006088a", "message": "Resource not found for the segment 'nosuches'.", "status": 404}
    assert steps.error("unknown set") == unknown


def test_what_another_owns_is_refused(steps: Steps) -> None:
    error = steps.error("what another owns")
    assert (error["code"], error["status"]) == ("0x80040220", 403)


def test_without_a_valid_token_nothing_is_said(steps: Steps) -> None:
    assert steps.error("forged token") == {"message": "Unexpected Error", "status": 401}


def test_fetchxml_and_aggregation_are_said_to_be_missing(steps: Steps) -> None:
    for step, name in (("fetchXml", "fetchXml"), ("apply", "$apply")):
        error = steps.error(step)
        assert error["status"] == 501
        assert name in error["message"]
