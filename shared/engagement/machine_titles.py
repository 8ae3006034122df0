"""How machines title what they send: automatic replies in the languages of Outlook and Gmail, and failed deliveries.

A subject is anybody's to write, so that none of these is evidence alone. What Exchange and others put before the
subject of the mail that they answer is another matter: nobody types a title, a colon, and that mail's own subject.

The words are those that Exchange, Outlook, Gmail and common responders write by themselves, without accents and in
lower case; a title that is missing here is added here.
"""

import re

from shared.engagement.unaccented import unaccented

MAX_SUBJECT = 1000
"""How many characters of a subject are looked at; Exchange cuts them at 255."""
_CUT = 30
"""From how many characters on the beginning of a subject stands for the whole, as machines cut long ones."""

_AUTOMATIC = (
    # English
    "automatic reply", "automatic response", "automated reply", "automated response", "auto reply", "auto-reply",
    "autoreply", "auto response", "auto-response", "autoresponse", "autoresponder", "auto", "out of office",
    "out-of-office", "out of the office", "ooo", "vacation reply", "vacation response", "away from my mail",
    "yahoo! auto response",
    # German, Dutch, Nordic
    "automatische antwort", "automatische ruckantwort", "abwesenheitsnotiz", "abwesenheitsnachricht",
    "abwesenheitsmeldung", "abwesenheitsbenachrichtigung", "abwesend", "abwesenheit", "autoantwort",
    "automatisch antwoord", "automatische beantwoording", "automatisch bericht", "afwezig", "afwezigheid",
    "afwezigheidsbericht", "niet aanwezig",
    "automatisk svar", "automatisk svarmelding", "autosvar", "fraværende", "fravær", "fraværsbesked", "ikke til stede",
    "ikke til stede pa kontoret", "ute av kontoret", "ude af kontoret", "automatiskt svar", "franvaro",
    "franvarande", "franvaromeddelande", "automaattinen vastaus", "automaattivastaus", "poissa", "poissaoloilmoitus",
    "poissa toimistosta", "sjalfvirkt svar",
    # Romance
    "reponse automatique", "message d'absence", "message automatique", "notification d'absence", "absence du bureau",
    "absent du bureau", "absence", "respuesta automatica", "mensaje automatico", "contestacion automatica",
    "fuera de la oficina", "fuera de oficina", "ausente de la oficina", "risposta automatica", "fuori sede",
    "fuori ufficio", "assente dall'ufficio", "assenza dall'ufficio", "resposta automatica", "fora do escritorio",
    "fora do gabinete", "ausencia temporaria", "ausencia do escritorio", "ausente do escritorio", "raspuns automat",
    "absent de la birou", "erantzun automatikoa",
    # Slavic, Baltic, and their neighbours
    "automaticka odpoved", "nepritomnost", "mimo kancelar", "automatyczna odpowiedz",
    "odpowiedz automatyczna", "autoodpowiedz", "poza biurem", "nieobecnosc", "nieobecnosc w biurze",
    "samodejni odgovor", "odsotnost", "automatski odgovor", "automatsko odgovaranje", "izvan ureda", "odsutan",
    "аутоматски одговор", "автоматический ответ", "автоответ", "автоответчик", "нет на работе", "вне офиса",
    "автоматична відповідь", "автовідповідь", "автоматичен отговор", "извън офиса", "аўтаматычны адказ",
    "автоматски одговор", "автоматты жауап", "automatinis atsakymas", "automatiska atbilde", "automaatvastus",
    "automaatne vastus", "automatikus valasz", "hazon kivul", "pergjigje automatike", "αυτοματη απαντηση",
    "εκτος γραφειου",
    # Turkish, Semitic, Persian
    "otomatik yanıt", "otomatik cevap", "ofis dışında", "رد تلقائي", "الرد التلقائي", "خارج المكتب",
    "תשובה אוטומטית", "מענה אוטומטי", "מחוץ למשרד", "پاسخ خودکار",
    # Asian
    "自动答复", "自动回复", "外出", "自動回覆", "自動答覆", "自動応答", "自動返信", "不在通知",
    "자동 회신", "자동 응답", "자동회신", "자동응답", "부재중", "부재 중",
    "trả lời tự động", "thư trả lời tự động", "phản hồi tự động", "การตอบกลับอัตโนมัติ", "ตอบกลับอัตโนมัติ",
    "balasan otomatis", "balasan automatik", "jawapan automatik", "awtomatikong tugon", "स्वचालित उत्तर", "स्वचालित जवाब",
    "स्वत: उत्तर",
)  # fmt: skip

_FAILURES = (
    "undeliverable", "undeliverable mail", "undeliverable message", "undelivered", "undelivered mail",
    "undelivered mail returned to sender", "undelivered message", "delivery status notification", "delivery status",
    "delivery failure", "delivery failed", "delivery error", "delivery report", "delivery notification",
    "delivery delayed", "delivery has failed", "mail delivery failed", "mail delivery failure", "mail delivery error",
    "mail delivery system", "mail delivery problem", "mail system error", "mail could not be delivered",
    "mail not delivered", "message not delivered", "message undeliverable", "message delivery failure",
    "message delivery failed", "message delayed", "message could not be delivered", "message status - undeliverable",
    "failure notice", "failed mail", "failed delivery", "failure delivery", "non delivery report",
    "non-delivery report", "nondeliverable mail", "non-deliverable", "non recapitable", "returned mail",
    "returned message", "returned to sender", "permanent delivery failure", "unable to deliver", "unzustellbar",
    "nicht zustellbar", "unzustellbare nachricht", "zustellung fehlgeschlagen", "rucklaufer", "onbestelbaar",
    "niet bezorgd", "ikke leveret", "kan ikke leveres", "ikke levert", "kunne ikke leveres", "olevererbart",
    "gick inte att leverera", "ei voitu toimittaa", "toimitus epaonnistui", "echec de la remise", "echec de remise",
    "non remis", "notification d'etat de remise", "no se puede entregar", "no entregado", "no se pudo entregar",
    "error de entrega", "non recapitabile", "mancato recapito", "consegna non riuscita", "nao entregue",
    "falha na entrega", "nao e possivel entregar", "imposibil de livrat", "nedorucitelne", "nedoruceno",
    "nie mozna dostarczyc", "niedostarczone", "nie dostarczono", "nie je mozne dorucit", "ni mogoce dostaviti",
    "nije moguce isporuciti", "kezbesithetetlen", "не удается доставить", "недоставленное сообщение", "не доставлено",
    "не вдалося доставити", "αδυνατη η παραδοση", "teslim edilemedi", "未送达", "无法传递", "未傳遞", "無法傳遞",
    "退信", "系统退信", "配信不能", "メッセージを配信できません", "배달되지 않음", "לא ניתן למסירה", "غير قابل للتسليم",
)  # fmt: skip

_REPLY = re.compile(
    r"(?:(?:re|aw|sv|vs|antw|rif|res|ref|odp|ynt|fw|fwd|wg|tr|回复|答复|回覆|返信)(?:\[\d{1,3}\])?\s?[:：]|to\b[:：]?)\s?"
)
"""What programs put before a subject that is answered, of any language that is common."""
_TAG = re.compile(r"\[[^\[\]]{1,40}\]\s?")
"""What gateways put before the subject of mail from outside, and lists before all of theirs."""


def _plain(text: str) -> str:
    # Turkish writes its capital I without a dot where others do not.
    return " ".join(unaccented(text[:MAX_SUBJECT]).casefold().replace("ı", "i").split())


def _by_beginning(titles: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return titles by their first letter, the longest first: few are compared."""
    known: dict[str, list[str]] = {}
    for title in sorted({_plain(title) for title in titles}, key=len, reverse=True):
        known.setdefault(title[0], []).append(title)
    return {letter: tuple(group) for letter, group in known.items()}


AUTOMATIC, FAILURES = _by_beginning(_AUTOMATIC), _by_beginning(_FAILURES)


def behind_title(subject: str, titles: dict[str, tuple[str, ...]]) -> str | None:
    """Return what stands in a subject behind a machine's title, plain and in lower case; None where none begins it.

    Tags such as ``[EXTERNAL]`` and brackets around the title are skipped; two titles in a row count as one.

    >>> behind_title("[EXT] Out of Office AutoReply: Our Offer", AUTOMATIC), behind_title("Outing", AUTOMATIC)
    (': our offer', None)
    """
    text = _plain(subject)
    bare = _without(_TAG, text)
    for start in (bare, text.lstrip("[(*< ")):
        if (rest := _cut(start, titles)) is not None:
            further = _cut(rest.lstrip(" -"), titles)
            return rest if further is None else further
    return None


def is_set_off(rest: str) -> bool:
    """Return whether what `behind_title` returned is set off from the title: a sentence that begins so goes on."""
    return not rest or rest.lstrip(" ")[:1] in set(":：-–—|])}>!.*")


def names(rest: str, subject: str) -> bool:
    """Return whether what is set off behind a title is the subject of the mail that is answered, and nothing else."""
    if not rest.lstrip(" ").startswith((":", "：", "]", ")", "re:", "to ", "to:")):
        return False
    said = _without(_TAG, _without(_REPLY, rest.lstrip(" :：-–—|])")))
    said, known = _without(_REPLY, said), _bare(subject)
    cut = said.rstrip(".… ")
    return said == known or (len(cut) >= _CUT and known.startswith(cut))


def _bare(subject: str) -> str:
    return _without(_REPLY, _without(_TAG, _without(_REPLY, _plain(subject))))


def _cut(text: str, titles: dict[str, tuple[str, ...]]) -> str | None:
    for title in titles.get(text[:1], ()):
        rest = text[len(title) :]
        if text.startswith(title) and not (rest[:1].isalnum() and title[-1].isalnum() and rest[:1] < "\u2e80"):
            return rest
    return None


def _without(pattern: re.Pattern[str], text: str) -> str:
    """Return a text without what the pattern finds at its beginning, as often as it does (at most ten times)."""
    at = 0
    for _ in range(10):
        found = pattern.match(text, at)
        if found is None:
            break
        at = found.end()
    return text[at:]
