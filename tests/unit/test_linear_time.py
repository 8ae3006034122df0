"""Every pattern and every function over text that others write takes time in proportion to it, or bounds it first.

Each is given the worst texts of growing size: four times the text may take ten times as long, and sixteen times is what
the square takes. Ratios of processor time, the best of several, from where there is something to measure.
"""

import ast
import contextlib
import importlib
import pkgutil
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import shared
from shared.engagement import agents, labels, observations, withdrawal, zones
from shared.engagement.addresses import is_address, normal_form
from shared.engagement.body import MAX_ANCHORS, read
from shared.engagement.cards import parse_kinds
from shared.engagement.delivery_reports import MAX_MIME, read_delivery_report, returned_ids
from shared.engagement.dynamic_text import complaint
from shared.engagement.hits import MAX_HEADER_LENGTH, Kind, client_address
from shared.engagement.images import content_ids, data_image
from shared.engagement.incoming import MAX_VALUE, identity, judge, references
from shared.engagement.links import judge as judge_link
from shared.engagement.links import target_of
from shared.engagement.notifications import MAX_NOTIFICATIONS, read_notifications
from shared.engagement.places import find_country
from shared.engagement.plain_text import fold, harmless
from shared.engagement.redaction import redact
from shared.engagement.tokens import verify
from shared.engagement.unaccented import unaccented
from shared.engagement.unsubscribing import says_unsubscribe
from tests.unit.attacks import attacks
from tests.unit.test_incoming import REPLY

ROOT = Path(__file__).parents[2]
MEASURABLE = 0.004
"""Seconds below which a text is too small to tell a line from a square."""
MARKS = "\u0315\u0300"
"""Two combining marks in the order that is not theirs: normalization sorts them."""


def seconds(work: Callable[[Any], object], text: Any) -> float:
    began = time.process_time()
    work(text)
    return time.process_time() - began


def is_linear(work: Callable[[Any], object], make: Callable[[int], Any], start: int = 500, most: int = 300_000) -> bool:
    """Return whether four times the text takes less than ten times as long, once that can be measured."""
    size = start
    while seconds(work, make(size)) < MEASURABLE:
        size *= 4
        if size > most:
            return True
    small, large = make(size), make(4 * size)
    return any(seconds(work, large) < 10 * max(seconds(work, small), MEASURABLE / 2) for _ in range(4))


# --- patterns

ANCHORED = {
    "shared.engagement.html._TAG": {"match"},
    "shared.engagement.links._SCHEME": {"match"},
    "shared.engagement.places._TURNED": {"fullmatch"},
    "shared.services.attaching._MEDIA_TYPE": {"fullmatch"},
    "shared.webapi.administering._ADDRESS": {"fullmatch"},
    "shared.webapi.batch._ABSOLUTE": {"match"},
    "shared.webapi.keys._KEY": {"fullmatch"},
    "shared.webapi.metadata._WITH_KEY": {"fullmatch"},
    "shared.webapi.multipart._REST": {"match"},
    "shared.webapi.operations._ARGUMENTS": {"fullmatch"},
    "shared.webapi.paths.SEGMENT": {"fullmatch"},
    "shared.webapi.payloads._REFERENCE": {"fullmatch"},
    "shared.webapi.resources.SEGMENT": {"fullmatch"},
}
"""Patterns that would take the square of a text if they were searched for in it, and how they are used instead."""
BOUNDED = {
    "shared.engagement.agents": MAX_HEADER_LENGTH,
}
"""Modules whose patterns see no more characters than this, which their function cuts first (below)."""


def _patterns_in(value: object, name: str) -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, dict | tuple | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _patterns_in(one, name)
    elif getattr(value, "__name__", "") in ("fullmatch", "match", "search") and isinstance(
        getattr(value, "__self__", None), re.Pattern
    ):
        yield name, value.__self__  # type: ignore[attr-defined]


@cache
def sources() -> dict[str, ast.Module]:
    """Return what is written in each module."""
    names = (found.name for found in pkgutil.walk_packages(shared.__path__, "shared."))
    files = {name: ROOT / f"{name.replace('.', '/')}.py" for name in names}
    return {name: ast.parse(path.read_text("utf-8")) for name, path in files.items() if path.is_file()}


def _inline(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(r"re\.(?!compile|escape)\w+", ast.unparse(node.func)):
            yield node


def _use(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr if call.func.attr in ("match", "fullmatch") else "finditer"


@cache
def patterns() -> dict[str, "re.Pattern[Any]"]:
    found: dict[str, re.Pattern[Any]] = {}
    for name, tree in sources().items():
        for variable, value in vars(importlib.import_module(name)).items():
            for place, pattern in _patterns_in(value, f"{name}.{variable}"):
                while place in found and found[place] != pattern:
                    place += "'"
                found[place] = pattern
        for call in _inline(tree):
            assert isinstance(call.args[0], ast.Constant | ast.JoinedStr), f"{name}:{call.lineno}"
            if isinstance(call.args[0], ast.Constant):
                found[f"{name}:{call.lineno} {_use(call)}"] = re.compile(call.args[0].value)
    return found


def worst(pattern: "re.Pattern[Any]", use: str = "finditer") -> str:
    """Return what takes a pattern the square of its length, "" where nothing that is tried does."""

    def work(text: Any) -> object:
        return list(pattern.finditer(text)) if use == "finditer" else getattr(pattern, use)(text)

    for piece in attacks(pattern)[:400]:
        for end in ("", "\0"):

            def make(size: int, piece: str = piece, end: str = end) -> Any:
                text = piece * (size // len(piece)) + end
                return text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")

            if not is_linear(work, make, 1500, 6000):
                return piece
    return ""


@pytest.mark.parametrize("name", sorted(patterns()))
def test_no_pattern_takes_the_square_of_its_text(name: str) -> None:
    if name.rpartition(".")[0] in BOUNDED:
        return
    for use in ANCHORED.get(name, {name.partition(" ")[2] or "finditer"}):
        assert worst(patterns()[name], use) == "", f"{name}, searched for in many of these"


@pytest.mark.parametrize("name", sorted(ANCHORED))
def test_what_may_not_be_searched_for_is_not(name: str) -> None:
    module, _, variable = name.rpartition(".")
    uses = {
        node.attr
        for node in ast.walk(sources()[module])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == variable
    }
    assert uses == ANCHORED[name]


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?ia)xmlns:([^\s=/>]+)\s*=\s*[\"']?urn:schemas-microsoft-com:",
        r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*",
        r'"(?:[^"\\\r\n]|\\.)*"@',
        r"a@(?:\[[^\]\s]*\]|b*)",
        r"\s+$",
        rb"x.*y",
    ],
)
def test_what_takes_the_square_is_found_out(pattern: Any) -> None:
    assert worst(re.compile(pattern)) != ""


# --- functions

SELLER = frozenset({"ann@contoso.example"})


def repeated(piece: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + piece * (size // len(piece)) + after


def header(name: str, piece: str) -> Callable[[int], Any]:
    return lambda size: replace(REPLY, headers=((name, piece * (size // len(piece))),))


def both(message: Any) -> None:
    judge(message, SELLER, message.subject)
    references(message)
    identity(message)


def notified(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_notifications(body, {})


def mime(before: bytes, piece: bytes, after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + piece * (size // len(piece)) + after


def nested(size: int) -> bytes:
    one = b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n"
    return b"".join(one % (level, level) for level in range(size // 60)) + b"\n" * size


REPORT = b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"

FUNCTIONS: dict[str, tuple[Callable[[Any], object], list[Callable[[int], Any]]]] = {
    "a body": (
        read,
        [
            *map(
                repeated,
                (
                    "xmlns:",
                    "xmlns:a =",
                    "<v:a href=http://x>",
                    "<v:a href=x>&a&a&a",
                    "<v:a href=x>" + "&a" * 500,
                    "<v:b href=x><img alt=&a&a>",
                    "<svg><g>",
                    "</p>",
                    "<!--[if x]>-->",
                ),
            ),
            lambda size: ("<v:a href=x>" * 59 + f"<img {'a ' * 500}>") * (size // 1800),
        ],
    ),
    "content ids": (content_ids, [*map(repeated, ("cid:", "c", "cid:&", "cid:%41"))]),
    "an image in its address": (
        data_image,
        [repeated(";", "data:image/png"), repeated("; ", "data:image/png"), repeated("%4", "data:image/png;base64,")],
    ),
    "where a link leads": (
        target_of,
        [
            repeated("a\u0315\u0300", "http://"),
            repeated(MARKS, "http://a"),
            lambda size: "http://" + "".join(chr(0x4E00 + at % 20_000) for at in range(size)),
            repeated("a/../", "http://a/"),
            repeated("@", "http://a"),
            repeated("%C3%A4", "http://"),
        ],
    ),
    "whether a link is followed": (
        lambda href: judge_link(href, "x"),
        [*map(repeated, ("{{", "[[", "%%a", "<%", "*|", "a+", "\ud800", MARKS)), repeated("%CC%95%CC%80", "http://a/")],
    ),
    "whether it says unsubscribe": (
        lambda text: says_unsubscribe(text, text),
        [repeated(MARKS, "a"), repeated("opt "), repeated("%CC%95%CC%80"), repeated("\ufdfa")],
    ),
    "text without accents": (unaccented, [repeated(MARKS, "a"), repeated("\u0344"), repeated("\ufdfa")]),
    "an address": (
        lambda text: (is_address(text), normal_form(text)),
        [repeated(MARKS, "a", "@x.y"), repeated(MARKS, "a@"), repeated("."), repeated("@"), repeated("\u4e00a", "a@")],
    ),
    "a country": (find_country, [repeated(MARKS, "a"), repeated("st ")]),
    "a time zone": (zones.complaint, [repeated("x"), repeated("\u0130")]),
    "what a log says": (
        redact,
        [
            *map(repeated, ('"\\', '\\"', "/o/", "%2Fo%2F", "Bearer ", "sig= ", "::", "1.", "AQBa", "'@a.")),
            repeated('\\"', '"', "@"),
            repeated("a@["),
            repeated("%a", after=" %40"),
            repeated("%40"),
            repeated("eyJ-"),
            repeated("eyJa.eyJ"),
        ],
    ),
    "an agent": (agents.classify, [*map(repeated, ("msteams", "(iPad", "Version/1", "Chrome/42.0.2311.135 "))]),
    "where a hit came from": (
        lambda text: client_address(text, ()),
        [repeated(","), repeated("1", "fe80::1%"), repeated("127.0.0.1,")],
    ),
    "a token": (lambda text: verify(text, {1: b"s" * 32}), [*map(repeated, ("A", "/", "%2F", "="))]),
    "notifications": (
        notified,
        [mime(b'{"value":[{}', b",{}", b"]}"), mime(b'{"value":[', b"[", b"]")],
    ),
    "the language of a page": (
        withdrawal.language_of,
        [*map(repeated, (",", ";q=", " ", ";q=0.1 ,")), repeated(" ", "a;q")],
    ),
    "kinds of cards": (lambda text: parse_kinds(text), [repeated("; "), repeated("reply;")]),
    "one line of a stranger's": (
        lambda text: (fold(text), harmless(text)),
        [*map(repeated, ("\u202e", "\r\n", "\ud800"))],
    ),
    "a template": (
        lambda text: complaint(text, {"contact": ("contact", {"firstname": "firstname"})}, html=True),
        [
            *map(repeated, ("{!", "{!<", "{!contact:firstname;}", "{!<b", "<a b='{!contact:firstname;}' ")),
            repeated("x", "{!contact:", ";}"),
            lambda size: "<a " + "b='{!contact:firstname;}' " * (size // 26) + ">",
        ],
    ),
    "a message's headers": (
        both,
        [
            *(header("references", piece) for piece in ("<", "<a>", "a@", "<a", ",")),
            *(header("in-reply-to", piece) for piece in ("<a>", "\r\n")),
            *(header("content-type", piece) for piece in ("method ", "method=", "(", "(a)", "report-type")),
            *(header("return-path", piece) for piece in ("<", " ", "mailer-daemon")),
            *(header("x-mailer", piece) for piece in ("auto-", "vacatio", "kana ")),
            *(
                lambda size, piece=piece: replace(REPLY, subject=piece * (size // len(piece)))
                for piece in ("[a]", "auto reply: ", "re: ", "re[1]: ", "undeliverable ", MARKS, "to")
            ),
            lambda size: replace(REPLY, headers=(("auto-submitted", "no"),) * size),
            lambda size: replace(REPLY, headers=(("x-auto" * size, "no"),)),
            lambda size: replace(REPLY, message_id="<a>" * size, subject="[" * size),
        ],
    ),
    "a bounce": (
        lambda text: (returned_ids(text), read_delivery_report(text)),
        [
            nested,
            mime(b"", b"Message-ID:\n"),
            mime(b"", b"Message-ID: <a>\n <b>\n"),
            mime(REPORT, b"a: b\n\n"),
            mime(REPORT, b"\n"),
            mime(REPORT, b"--b\n"),
            mime(REPORT, b"Diagnostic-Code: x\n", b" y\n"),
            mime(REPORT + b"Diagnostic-Code: x\n", b" y\n"),
            mime(b"Content-Type: x;", b'";'),
            mime(b"Content-Type: x;", b"boundary "),
            mime(b"", b"Content-Type: message/rfc822\n\n"),
            mime(b"Content-Type: multipart/mixed; boundary=b\n\n", b"--b\n\n"),
            *(
                mime(b"", piece)
                for piece in (b"message-id", b"message-id <", b"Message-ID: <a@b>\n", b"message-id a@", b"&lt;")
            ),
            mime(b"message-id", b"<a@"),
            mime(b"message-id", b" \n"),
            mime(b"", b"Content-Transfer-Encoding: base64\n"),
            mime(b"", b"Content-Transfer-Encoding: base64\n\nTWVz\n--b\n"),
            mime(b"Content-Transfer-Encoding: base64\n\n", b"TWVz\n"),
            mime(b"Content-Transfer-Encoding: quoted-printable\n\n", b"=\n"),
            mime(b"Content-Transfer-Encoding: quoted-printable\n\n", b"= \t"),
            mime(REPORT.replace(b"\n\n", b"\nContent-Transfer-Encoding: base64\n\n"), b"YTogYgo="),
            mime(REPORT.replace(b"\n\n", b"\nContent-Transfer-Encoding: quoted-printable\n\n"), b"a: b=\n"),
            mime(REPORT + b"Action: failed\nFinal-Recipient: utf-8;", b"\\x{"),
            mime(b"\n", b"a" * 900 + b"\n"),
            mime(b"\n", b" <"),
            mime(b"\n", b"5.1."),
        ],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_takes_the_square_of_its_text(name: str) -> None:
    work, makers = FUNCTIONS[name]
    for number, make in enumerate(makers):
        assert is_linear(work, make), f"{name}, text {number}: {make(40)!r:.80}"


def hit(number: int, at: int, **changes: Any) -> observations.Observation:
    known = observations.Observation(
        f"{'0' * 16}-{number:012d}", Kind.OPEN, 0, at, "GET", "s", "n", "", "a", "browser", "Chrome on Windows", ()
    )
    return replace(known, **changes)


def machine_and_people(size: int) -> list[observations.Observation]:
    """One address: a robot again and again, an hour later a browser of its name, and people there under another."""
    robot = [hit(at, at, method="HEAD", flags=("headless-brand",)) for at in range(size)]
    later = [hit(size + at, 3_600_000 + 5000 * at, kind=Kind.IMAGE) for at in range(size)]
    return [*robot, *later, hit(2 * size, 3_600_000, agent="b")]


def sweep_and_opens(size: int) -> list[observations.Observation]:
    """A sweep of many clicks and as many opens around it, each by a browser that the sweep did not use."""
    clicks = [hit(at, at // 10, kind=Kind.LINK, item=at % 3, source="m", network="m", agent="m") for at in range(size)]
    opens = [hit(size + at, at // 10, source=f"s{at}", network=f"n{at}", agent="o") for at in range(size)]
    return [*clicks, *opens]


def calls(work: Callable[..., object], *arguments: object) -> int:
    """Return how many calls of Python functions, and steps of generators, something takes."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        work(*arguments)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("make", [machine_and_people, sweep_and_opens])
def test_no_judgement_takes_the_square_of_an_emails_hits(make: Callable[[int], Any]) -> None:
    email = labels.Email(sent_at=0, links=3, images=0, attachments=0, recipients=1, sender_source="")
    small, large = (calls(labels.judge, email, make(size)) for size in (500, 2000))
    assert large < 6 * small


# --- bounds


def test_what_is_looked_at_of_an_agent_is_bounded() -> None:
    assert agents.classify("x" * MAX_HEADER_LENGTH + " bot") == agents.classify("x" * MAX_HEADER_LENGTH)


def test_what_an_entry_of_a_header_may_name_is_bounded() -> None:
    assert client_address("fe80::1%" + "x" * 100, ()) == ""
    assert client_address("[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", ()) != ""


def test_what_is_looked_at_of_a_body_a_bounce_and_notifications_is_bounded() -> None:
    assert len(read("<a href=x>t</a>" * (MAX_ANCHORS + 1)).anchors) == MAX_ANCHORS
    assert returned_ids(b"\n" * MAX_MIME + b"Message-ID: <a@x>\n") == ()
    assert read_notifications(b'{"value":[' + b"{}," * MAX_NOTIFICATIONS + b"{}]}", {}) == ([], MAX_NOTIFICATIONS + 1)
    assert references(header("references", "<a@x>" + " " * MAX_VALUE)(2 * MAX_VALUE)) == ()
