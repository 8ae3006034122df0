"""What Graph posts to us: only what carries our own signature is believed."""

import contextlib

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.engagement.notifications import (
    MAX_CLIENT_STATE,
    Notification,
    client_state,
    read_client_state,
    read_notifications,
)

SECRETS = {1: b"1" * 32, 200: b"2" * 32}
MAILBOX = "c0170500-0000-4000-8000-000000000011"
STATE = client_state("contoso", MAILBOX, 1, SECRETS)

_NAMES = st.from_regex(r"[a-z][a-z0-9]{2,30}", fullmatch=True)


@given(organization=_NAMES, mailbox=st.uuids().map(str), key=st.sampled_from(sorted(SECRETS)))
def test_a_client_state_says_whose_mailbox_it_is_and_fits_what_graph_takes(organization, mailbox, key):
    state = client_state(organization, mailbox, key, SECRETS)
    assert read_client_state(state, SECRETS) == (organization, mailbox)
    assert len(state) <= MAX_CLIENT_STATE


@given(at=st.integers(0, len(STATE) - 1), character=st.characters(codec="ascii"))
def test_a_client_state_that_was_changed_anywhere_is_nobody_s(at, character):
    changed = STATE[:at] + character + STATE[at + 1 :]
    assert (read_client_state(changed, SECRETS) is None) == (changed != STATE)


@given(text=st.text(max_size=200))
@example(text="1.contoso.x." + "A" * 22)
@example(text="999.contoso.x." + "A" * 22)
@example(text="\u0661" + STATE[1:])
@example(text=STATE + "\n")
def test_what_we_did_not_sign_is_nobody_s(text):
    assert read_client_state(text, SECRETS) is None


@given(body=st.binary(max_size=200))
@example(body=b"[" * 100_000)
def test_any_body_at_all_is_read_or_refused(body):
    with contextlib.suppress(ValueError):
        assert read_notifications(body, SECRETS)[0] == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(data=_JSON, event=_JSON, subscription=_JSON)
def test_whatever_a_genuine_notification_holds_it_is_read(data, event, subscription):
    entry = {"clientState": STATE, "resourceData": data, "lifecycleEvent": event, "subscriptionId": subscription}
    [read], foreign = read_notifications(orjson.dumps({"value": [entry]}), SECRETS)
    assert (read.organization, read.mailbox, foreign) == ("contoso", MAILBOX, 0)


def test_foreign_notifications_among_genuine_ones_are_counted_and_left_out():
    entry = {"clientState": STATE, "resourceData": {"id": "AAkALg="}}
    body = orjson.dumps({"value": [entry, {**entry, "clientState": "x"}, entry, {}]})
    assert read_notifications(body, SECRETS) == ([Notification("contoso", MAILBOX, "AAkALg=")], 2)


@pytest.mark.parametrize("body", [b"[]", b"7", b"{}", b'{"value": null}', b'{"value": ["x"]}'])
def test_what_is_no_collection_is_refused(body):
    with pytest.raises(ValueError, match="a collection of notifications is needed"):
        read_notifications(body, SECRETS)


@pytest.mark.parametrize("value", [b"{}", b"[]", b"0", b'{"resourceData":{}}'])
def test_a_collection_of_a_great_many_values_is_refused_unread(value):
    with pytest.raises(ValueError, match="50,000 braces"):
        read_notifications(b'{"value":[' + b",".join([value] * 60_000) + b"]}", SECRETS)
