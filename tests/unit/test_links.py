"""Which links are followed and where they lead."""

import doctest
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import links, unsubscribing
from shared.engagement.links import judge, target_of
from shared.engagement.unsubscribing import says_unsubscribe


@pytest.mark.parametrize("module", [links, unsubscribing])
def test_the_examples_of_the_documentation_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTP://EXAMPLE.com:80/A/../b?C#D", "http://example.com/b?C#D"),
        (" \x01https://example.com/\x00 \n", "https://example.com/"),
        ("ht\ttps://exa\nmple.com/\r\na", "https://example.com/a"),
        (
            "https://bücher.example/ä b?ö=ü ß#§ x",
            "https://xn--bcher-kva.example/%C3%A4%20b?%C3%B6=%C3%BC%20%C3%9F#%C2%A7%20x",
        ),
        ("https://example.com/%zz%2f?%zz", "https://example.com/%zz%2f?%zz"),
        ("https:\\\\example.com\\a", "https://example.com/a"),
        ("https:example.com", "https://example.com/"),
        ("https://user:secret@example.com/", "https://user:secret@example.com/"),
        ("https://example.com/\ud800", "https://example.com/%EF%BF%BD"),
        ("https://[::1]:8080/", "https://[::1]:8080/"),
        ("https://0x7f.1/", "https://127.0.0.1/"),
    ],
)
def test_a_target_is_the_url_standards_serialization(href: str, target: str) -> None:
    assert target_of(href) == target


@pytest.mark.parametrize(
    "href", ["https://", "https://a b/", "https://[::g]/", "https://example.com:99999/", "https://1.2.3.4.5/",
    "https://%00/"]
)  # fmt: skip
def test_what_does_not_parse_stays_and_says_so(href: str) -> None:
    assert judge(href, "text") == (None, "not a valid address")


@given(st.sampled_from(["http:", "https://", "https://h/", "https://h?", "https://h#"]), st.text())
def test_a_target_is_plain_visible_ascii_and_its_own_target(start: str, rest: str) -> None:
    target = target_of(start + rest)
    if target is not None:
        assert all(0x21 <= ord(character) <= 0x7E for character in target)
        assert target.startswith(("http://", "https://"))
        assert target_of(target) == target


@pytest.mark.parametrize(
    ("href", "reason"),
    [
        ("mailto:kim@example.com", "mailto: link"), ("TEL:+49", "tel: link"), ("sms:1", "sms: link"), ("cid:a@b",
        "cid: link"),
        ("javascript:alert(1)", "javascript: link"), ("java\nscript:alert(1)", "javascript: link"),
        ("data:text/html,x", "data: link"),
        ("file:///c:/a", "file: link"), ("ftp://example.com", "ftp: link"), ("ms-outlook://x", "ms-outlook: link"),
        ("#top", "anchor within the mail"), ("", "empty link"), (" \n", "empty link"), ("page.html", "relative link"),
        ("/page", "relative link"),
        ("?q", "relative link"), ("www.example.com", "relative link"), ("//example.com", "address without a scheme"),
        ("\\\\server\\share", "address without a scheme"), ("http//x", "relative link"),
        ("{{url}}", "template placeholder"), ("https://x/?u={{ user.id }}", "template placeholder"),
        ("{!contact:url;x}", "template placeholder"),
        ("%%unsub_url%%", "template placeholder"), ("*|UNSUB|*", "template placeholder"), ("https://x/${id}",
        "template placeholder"),
        ("[[link]]", "template placeholder"), ("{% url %}", "template placeholder"), ("https://x/<%= id %>",
        "template placeholder"),
    ],
)  # fmt: skip
def test_links_that_lead_to_no_web_address_stay_with_a_reason(href: str, reason: str) -> None:
    assert judge(href, "text") == (None, reason)


@pytest.mark.parametrize(
    "href",
    [
        "https://x/?a=100%%20b",
        "https://x/{id}",
        "https://x/?a[b][]=1",
        "https://x/a*|b",
        "https://x/$1",
        "https://x/%7B%7B",
    ],
)
def test_what_only_resembles_a_placeholder_is_followed(href: str) -> None:
    assert judge(href, "text").target is not None


def test_a_marked_link_stays() -> None:
    assert judge("https://example.com/", "text", marked=True).reason == "marked as not to be followed"


def test_our_own_link_is_not_wrapped_again_and_is_recognised_however_it_is_written() -> None:
    def is_ours(url: str) -> str | None:
        return "link" if url.startswith("https://mail.example/c/") else None

    assert judge(" HTTPS://MAIL.example:443/c/abc", "text", is_ours=is_ours).reason == "already followed"
    assert judge("https://mail.example.com/c/abc", "text", is_ours=is_ours).target is not None


@pytest.mark.parametrize(
    "domain", ["contoso.example", "CONTOSO.example", "*.contoso.example", ".contoso.example", "contoso.example."]
)
def test_an_untouched_domain_covers_its_subdomains_and_no_more(domain: str) -> None:
    def touched(href: str) -> bool:
        return judge(href, "text", untouched_domains=[domain]).reason is None

    assert not touched("https://contoso.example/a")
    assert not touched("https://app.Contoso.example./a")
    assert touched("https://notcontoso.example/")
    assert touched("https://contoso.example.com/?contoso.example")


def test_an_untouched_domain_may_be_written_in_any_script() -> None:
    assert judge("https://a.xn--bcher-kva.example/", "text", untouched_domains=["Bücher.example"]).reason is not None
    assert (
        judge(
            "https://example.com/", "text", untouched_domains=["", " ", "*", "\ud800", "a b", "[", "com/example"]
        ).reason
        is None
    )


@pytest.mark.parametrize(
    "text",
    ["Unsubscribe", "UNSUBSCRIBE here", "click to un\u00adsubscribe", "Opt out", "opt-out", "Newsletter abbestellen",
     "Abmelden",
     "Se désabonner", "Me d\u00e9sinscrire", "DESABONNEMENT", "Disiscriviti", "Annulla l’iscrizione", "Darse de baja",
     "Cancelar la suscripción",
     "Cancelar inscrição", "Descadastrar", "Afmelden", "Uitschrijven", "Avregistrera dig", "Avmeld nyhetsbrev",
     "Meld deg av", "Afmeld nyhedsbrev",
     "Peruuta tilaus", "Wypisz się", "Odhlásit se", "Zrušiť odber", "Leiratkozás", "Dezabonare", "Abonelikten çık",
     "ABONELİKTEN ÇIK", "Отписаться",
     "Відписатися", "Отписване", "Απεγγραφή", "Odjava", "Одјава", "Atsisakyti prenumeratos", "Atrakstīties",
     "Loobu tellimusest", "配信停止はこちら",
     "退订", "取消訂閱", "수신거부", "إلغاء الاشتراك", "ביטול הרשמה", "सदस्यता समाप्त करें", "ยกเลิกการสมัคร", "Hủy đăng ký",
     "Berhenti berlangganan",
     "لغو اشتراک", "Donar-se de baixa"],
)  # fmt: skip
def test_a_text_that_says_unsubscribe_in_any_language_is_recognised(text: str) -> None:
    assert says_unsubscribe("https://example.com/l?x=1", text)
    assert judge("https://example.com/l?x=1", text).reason == "unsubscribe link"


@pytest.mark.parametrize(
    "target",
    ["https://example.com/unsubscribe?x=1", "https://unsubscribe.example.com/",
     "https://example.com/emailUnsubscribe.aspx", "https://e.com/opt-out",
     "https://e.com/?action=optout&x=1", "https://e.com/?a=opt%20out", "https://e.com/newsletter/abmelden",
     "https://e.com/d%C3%A9sabonnement",
     "https://e.com/cancelar-suscripcion", "https://e.com/huy-dang-ky", "https://e.com/abonelikten-cik"],
)  # fmt: skip
def test_an_address_that_says_unsubscribe_is_recognised(target: str) -> None:
    assert says_unsubscribe(target, "here")


@pytest.mark.parametrize(
    "text",
    ["Subscribe", "Subscribe now", "My subscription", "Abonnieren", "Anmelden", "Jetzt bestellen", "S'abonner",
     "S’inscrire", "Iscriviti", "Suscribirse",
     "Suscripción", "Inscrever-se", "Prenumerera", "Aanmelden", "Tilaa", "Subskrybuj", "Feliratkozás", "Abonare",
     "Abone ol", "Подписаться", "購読",
     "订阅", "구독", "Adopt outdoor games", "Adopt out of love", "Opt outdoors", "Laptop outlet", "Cooptation",
     "Registrera dig", "Checkout",
     "Meld deg på", ""],
)  # fmt: skip
def test_a_text_that_does_not_is_followed(text: str) -> None:
    assert not says_unsubscribe("https://example.com/subscribe?adopt=outside", text)
