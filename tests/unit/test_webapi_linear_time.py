"""What a caller of the Web API writes costs time linear in its length: each parser is given the worst texts that it
could meet, at one length and at eight times that, and may take eight times as long, not sixty-four."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.webapi import batch, context, filters, http, keys, multipart, operations, paths, payloads, query
from shared.webapi.errors import MAX_MESSAGE, Failure, bad_query, unknown_property
from shared.webapi.patterns import MAX_LENGTH, _Piece, _piece, matcher
from shared.webapi.tables import TABLES

EMAIL, CONTACT = TABLES["email"], TABLES["contact"]
SHORT, TIMES = 4_000, 8
QUADRATIC = TIMES**2 / 2
"""Half of what the square of the length would cost: linear work is at an eighth of that even when all else is slow."""
LITTLE = 0.02
"""Seconds of processor time that may be measured badly: less is never complained of."""

UNITS = [
    "_", "'", '"', '\\"', "(", ")", "/", "+", " ", "%", ",", "=", "a=b,", "a='b',", "a=' ", "\n", "\r\n", "@p", "$1",
    "a(", "/api/data/v9.1/a", "guid'", "any(", " eq ", "not ", "duration'P1", "geography'", "1", "boundary=\"", "{},",
]  # fmt: skip

HERE = http.Address("https://a", "a", "v9.2", "", "")
PARSERS: dict[str, Callable[[str], Any]] = {
    "$filter": lambda text: filters.parse_filter(text, EMAIL),
    "aliases": lambda text: filters.substitute_aliases(text, {"@p": ""}),
    "options": lambda text: query.parse_query(query.parse_options(text), EMAIL),
    "$expand": lambda text: query.parse_query({"$expand": f"ownerid({text}"}, EMAIL),
    "$orderby": lambda text: query.parse_query({"$orderby": text}, EMAIL),
    "$skiptoken": lambda text: query.parse_query({"$skiptoken": text}, EMAIL),
    "key": lambda text: keys.parse_key(CONTACT, text),
    "quoted key": lambda text: keys.parse_key(CONTACT, f"ee_externalid='{text}"),
    "arguments": lambda text: operations.parse_arguments("ee_GetEmailHistory", "@p", {"@p": text}),
    "path": paths.parse_path,
    "Prefer": context.parse_preferences,
    "set of a reference": lambda text: payloads.set_of(text, "Target"),
    "reference": lambda text: payloads.parse_reference(text, "contact", "Target"),
    "JSON": lambda text: payloads.parse_json(text.encode()),
    "text in JSON": lambda text: payloads.parse_json(b'{"a":"' + text.encode()),
    "base64": payloads.decode_body,
    "batch": lambda text: multipart.parse_batch("multipart/mixed;boundary=a", b"--a\n" + text.encode()),
    "its type": lambda text: multipart.parse_batch(f"multipart/mixed;{text}", b"--a\n\nx"),
    "its URLs": lambda text: batch.locate(text, HERE, {"1": "contacts"}),
    "pattern": lambda text: matcher(f"%{text[: MAX_LENGTH - 1]}x%")(text),
}


def cost(parse: Callable[[str], Any], text: str) -> float:
    """Return the processor time that a text takes, the least of three."""
    spent = []
    for _ in range(3):
        started = time.thread_time()
        try:
            parse(text)
        except Failure as refused:
            assert len(refused.message) <= MAX_MESSAGE
        spent.append(time.thread_time() - started)
    return min(spent)


@pytest.mark.parametrize("name", PARSERS)
def test_what_is_eight_times_as_long_takes_no_square_of_the_time(name: str) -> None:
    parse = PARSERS[name]
    for unit in UNITS:
        short, long = ((unit * length)[:length] for length in (SHORT, TIMES * SHORT))
        taken = cost(parse, long)
        assert taken < LITTLE or taken < QUADRATIC * max(cost(parse, short), LITTLE / TIMES), unit


def test_a_pattern_steps_over_a_text_once() -> None:
    class Counted(dict[str, int]):
        looked = 0

        def get(self, key: str, default: Any = None) -> Any:
            Counted.looked += 1
            return super().get(key, default)

    made = _piece("a" * 500 + "_" + "b")
    assert _Piece(made.text, Counted(made.masks), made.wild).find("a" * 32_000, 0, 32_000) == -1
    assert Counted.looked == 32_000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a":[' + b"{}," * 100_001 + b"0]}", "more than 200,000 values"),
        (b'{"a":[' + b"0," * 200_001 + b"0]}", "more than 200,000 values"),
        (b'{"a":' + b"[" * 33 + b"]" * 33 + b"}", "nested too deeply: at most 32"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "nested too deeply: at most 32"),
        (b"{" + b",".join(b'"a%d@b":0' % n for n in range(2_001)) + b"}", "at most 2,000"),
        (b'{"a":"' + b"\\n" * 8_000_001 + b'"}', "more than 8,000,000 escaped"),
    ],
)
def test_json_of_too_many_values_is_refused_by_name(body: bytes, said: str) -> None:
    with pytest.raises(Failure, match=said) as refused:
        payloads.parse_json(body)
    assert refused.value.status == 400


def test_commas_and_braces_in_a_text_are_no_values() -> None:
    text = '{},"' + "\\" * 3 + '"[1,2],'
    sent = {"description": text * 100_000, "subject": "x"}
    assert payloads.parse_json(json.dumps(sent).encode()) == sent


def test_the_largest_file_is_read_from_its_lines() -> None:
    content = bytes(range(256)) * 100_000
    assert payloads.decode_body(base64.encodebytes(content).decode()) == content
    for wrong in ("A" * 2**20 + "=" * 4, "AAA=" + "A" * 2**20, "QQ" * 2**20 + "Q"):
        with pytest.raises(Failure):
            payloads.decode_body(wrong)


def test_a_message_repeats_no_more_of_a_name_than_a_name_has() -> None:
    assert len(unknown_property("x" * 30_000, "email").message) < 200
    assert len(bad_query("x" * 30_000).message) == MAX_MESSAGE


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"$filter": f"contains(subject,'{'a' * 1001}')"}, "at most 1,000 are looked for"),
        ({"$orderby": ",".join(["subject"] * 11)}, "more than 10 columns"),
        ({"$expand": ",".join(["ownerid"] * 16)}, "at most 15"),
        (
            {"$expand": ",".join(["ownerid($filter=@p)"] * 4), "@p": "fullname eq 'x' or " * 900 + "fullname eq 'x'"},
            "more than 65,536 characters together",
        ),
    ],
)
def test_a_query_of_too_much_is_refused_by_name(options: dict[str, str], said: str) -> None:
    with pytest.raises(Failure, match=said):
        query.parse_query(options, EMAIL)


def test_what_a_filter_costs_is_counted_with_what_it_looks_at() -> None:
    def weight(text: str) -> int:
        return filters.parse_filter(text, TABLES["template"]).weight

    assert weight("languagecode in (" + ",".join(map(str, range(5_000))) + ")") == 1
    assert weight(" or ".join(f"languagecode eq {n}" for n in range(100))) == 101
    assert weight("contains(subjectsafehtml,'a_b')") > 10 * weight("contains(subjectsafehtml,'ab')") > 100


def test_a_request_makes_so_many_comparisons_and_no_more() -> None:
    reads = context.Reads()
    reads.compare(context.MAX_COMPARISONS // 400, 400)
    with pytest.raises(Failure, match="makes 1 comparisons for each row"):
        reads.compare(1, 1)
