"""What counts as a mail address: enough to write to everybody, too little to smuggle anything in."""

import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.addresses import is_address, normal_form


@pytest.mark.parametrize(
    "text",
    ["ann@mail.example", "a.b+c_d-e@sub.mail.example", "o'neil@mail.example", "ann@localhost", "jörg@bücher.example",
     "ann@xn--bcher-kva.example", "1@1.example", "a/b=c@mail.example", "#!%&*{}|~^?`$@mail.example"],
)  # fmt: skip
def test_an_address_that_mail_is_sent_to(text: str):
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "ann", "@mail.example", "ann@", "ann@@mail.example", "a b@mail.example", "ann@mail..example", "ann@.example",
     "ann@mail.example.", ".ann@mail.example", "ann.@mail.example", "a..n@mail.example", "ann@-mail.example",
     "ann@mail_.example", '"ann b"@mail.example', "ann@[192.0.2.1]", "Ann <ann@mail.example>",
     "a@mail.example,b@mail.example", "a@mail.example;b@mail.example", "ann@mail.example\r\nBcc: eve@evil.example",
     "ann@mail.example\n", "\tann@mail.example",
     "ann\u2028@mail.example", "ann\x00@mail.example", "\ud800@mail.example", "a" * 65 + "@mail.example",
     "ann@" + "a" * 64 + ".example", "ann@" + "a." * 130 + "example"],
)  # fmt: skip
def test_what_is_no_address(text: str):
    assert not is_address(text)


@given(st.text(st.sampled_from(list("ab.@-_<>,;:\"'() \r\n\t[]é\u2028\x00")), max_size=30))
def test_what_is_accepted_is_one_address_in_a_header(text: str):
    if is_address(text):
        message = EmailMessage(policy=email.policy.SMTPUTF8)
        message["To"] = text
        [address] = message["To"].addresses
        assert address.addr_spec == text


@pytest.mark.parametrize(
    "spelling",
    ["jörg@bücher.example", " Jörg@BÜCHER.example\t", "jo\u0308rg@bücher.example", "JÖRG@xn--bcher-kva.example"],
)
def test_an_address_is_the_same_however_it_is_written(spelling: str):
    assert normal_form(spelling) == "jörg@xn--bcher-kva.example"


def test_other_addresses_are_not_the_same():
    texts = ["ann@mail.example", "ann+b@mail.example", "a.nn@mail.example", "ann@bücher.example", "ann@bucher.example"]
    assert len({normal_form(text) for text in texts}) == len(texts)


@given(st.text())
def test_any_text_has_one_normal_form(text: str):
    assert normal_form(f" {text}\n") == normal_form(text)
