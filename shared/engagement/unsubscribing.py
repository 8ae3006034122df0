"""Whether a link lets its reader unsubscribe: such links are left alone, whatever the language of the mail."""

import re
import unicodedata
from urllib.parse import unquote

from shared.engagement.unaccented import unaccented

# Per language, the stems that a link to unsubscribe has in its text or its address. Compared after `_plain`: case
# folded, without accents, every run of spaces, hyphens, underscores, dots and apostrophes one space. A stem must not be
# part of the words for subscribing ("abonnieren", "s'inscrire", "subscribe").
_STEMS = {
    "ar": ("الغاء الاشتراك", "إلغاء الاشتراك", "الغاء اشتراك"),
    "bg": ("отписване", "отпишете", "отпиши се"),
    "ca": ("cancel·lar la subscripció", "donar-se de baixa", "donar-me de baixa"),
    "cs": ("odhlásit", "odhlášení", "zrušit odběr"),
    "da": ("afmeld", "frameld"),
    "de": ("abmeld", "abbestell", "mich austragen", "sich austragen", "hier austragen"),
    "el": ("κατάργηση εγγραφής", "απεγγραφή", "διαγραφή από"),
    "en": ("unsubscri", "unsuscri", "remove me from"),
    "es": ("darse de baja", "darme de baja", "darte de baja", "dar de baja",
           "date de baja",
           "cancelar suscripción", "cancelar la suscripción", "cancelar mi suscripción",
           "anular suscripción", "anular la suscripción",
           "desuscri"),
    "et": ("loobu tellimusest", "loobu uudiskirjast", "tühista tellimus"),
    "fa": ("لغو اشتراک", "لغو عضویت"),
    "fi": ("peruuta tilaus", "peru tilaus", "lopeta tilaus", "peruuta uutiskirje", "peru uutiskirje"),
    "fr": ("désabonn", "désinscri", "se désinscrire", "ne plus recevoir"),
    "he": ("ביטול הרשמה", "ביטול מנוי", "הסרה מרשימת", "הסר אותי", "להסרה"),
    "hi": ("सदस्यता समाप्त", "सदस्यता रद्द", "अनसब्सक्राइब"),
    "hr": ("odjava", "odjavi", "otkaži pretplatu"),
    "hu": ("leiratkoz",),
    "id": ("berhenti berlangganan", "berhenti melanggan", "berhenti langgan"),
    "it": ("disiscri", "annulla iscrizione", "annulla l'iscrizione", "annullare l'iscrizione", "cancella iscrizione",
           "cancella l'iscrizione", "cancellare l'iscrizione", "cancellati dalla"),
    "ja": ("配信停止", "配信解除", "配信を停止", "購読解除", "購読を解除", "購読停止", "登録解除", "登録を解除"),
    "ko": ("수신거부", "수신 거부", "구독취소", "구독 취소", "구독해지", "구독 해지"),
    "lt": ("atsisakyti prenumeratos", "atsisakyti naujienlaiškio", "atšaukti prenumeratą"),
    "lv": ("atrakstīties", "atteikties no abonēšanas", "atteikties no jaunumiem"),
    "nb": ("avmeld", "meld deg av", "meld meg av", "avslutt abonnement", "avregistrer"),
    "nl": ("afmeld", "uitschrijven", "schrijf je uit", "schrijf u uit", "meld je af", "meld u af"),
    "pl": ("wypisz się", "wypisz mnie", "zrezygnuj z subskrypcji", "zrezygnuj z newslettera",
           "rezygnacja z subskrypcji", "anuluj subskrypcję"),
    "pt": ("cancelar inscrição", "cancelar a inscrição", "cancelar subscrição", "cancelar a subscrição",
           "cancelar assinatura", "cancelar a assinatura", "anular subscrição", "anular a subscrição",
           "descadastr", "desinscrev", "remover inscrição"),
    "ro": ("dezabon",),
    "ru": ("отписаться", "отпишитесь", "отписка", "отписки", "отменить подписку",
           "отказаться от рассылки", "отказ от рассылки"),
    "sk": ("odhlásiť", "odhlásenie", "zrušiť odber"),
    "sl": ("odjava", "odjavi"),
    "sr": ("одјава", "одјави"),
    "sv": ("avregistrera", "avprenumerera", "avsluta prenumeration", "avanmäl"),
    "th": ("ยกเลิกการสมัคร", "ยกเลิกการรับ", "ยกเลิกการติดตาม"),
    "tr": ("abonelikten çık", "aboneliği iptal", "aboneliğimi iptal", "üyelikten çık", "listeden çık"),
    "uk": ("відписатися", "відписатись", "відписка", "відмовитися від розсилки"),
    "vi": ("hủy đăng ký", "huỷ đăng ký", "ngừng nhận", "bỏ đăng ký"),
    "zh": ("退订", "退訂", "取消订阅", "取消訂閱"),
}  # fmt: skip

# "opt out" is two short words that longer ones contain ("adopt outdoor games"), so it must stand alone.
_OPT_OUT = re.compile(r"(?<![^\W_])opt ?out(?![^\W_])")
_SEPARATORS = re.compile(r"[\s\-_+.'’·]+")


# Letters with a stroke and the dotless i have no decomposition; addresses are written without them.
_STROKES = str.maketrans("ıđłø", "idlo")


def _plain(text: str) -> str:
    text = text.casefold()
    if not text.isascii():
        text = "".join(filter(_is_visible, unaccented(text))).translate(_STROKES)
    return _SEPARATORS.sub(" ", text)


def _is_visible(character: str) -> bool:
    """Not invisible, as a soft hyphen is."""
    return unicodedata.category(character) != "Cf"


_PLAIN_STEMS = sorted({_plain(stem) for stems in _STEMS.values() for stem in stems})
_ASCII_STEMS = [stem for stem in _PLAIN_STEMS if stem.isascii()]


def says_unsubscribe(target: str, text: str) -> bool:
    """A link with this address (percent-encoded or not) and visible text says unsubscribe.

    >>> says_unsubscribe("https://example.com/l?id=1", "Newsletter abbestellen")
    True
    >>> says_unsubscribe("https://example.com/subscribe", "Subscribe now")
    False
    """
    return _says(_plain(unquote(target))) or _says(_plain(text))


def _says(plain: str) -> bool:
    for stem in _ASCII_STEMS if plain.isascii() else _PLAIN_STEMS:
        if stem in plain:
            return True
    return _OPT_OUT.search(plain) is not None
