"""What a postal address names: a country from its code, name in many languages or a common spelling, the part of it,
and the time zones of a state or city where a country has several. Reads tables and decides nothing.

Countries and zones: ``iso3166.tab`` and ``zone.tab`` of the IANA time zone database (package tzdata). Names:
``country_names.tsv`` beside this module, extracted from Unicode CLDR (Unicode License V3) by ``make places``, and below
what people write beside them. Cities: ``cities.tsv``, extracted from GeoNames (https://www.geonames.org, CC BY 4.0) by
``local/cities.py``. States: the tables below, after the time zone laws of each country as tzdata has them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from shared.engagement.unaccented import unaccented


def normalized(text: str) -> str:
    """Return a name as names are compared: without case, accents, dots and hyphens.

    >>> normalized("  São  Paulo "), normalized("St. John's"), normalized("Baden-Württemberg")
    ('sao paulo', 'saint johns', 'baden wurttemberg')
    """
    plain = unaccented(text.casefold())
    words = "".join(c if c.isalnum() else "" if c in "'’.`" else " " for c in plain).split()
    return " ".join("saint" if word == "st" else word for word in words)


@dataclass(frozen=True, slots=True)
class Place:
    """A country (code) and the state or part of it as somebody wrote it, "" where none is named."""

    country: str
    state: str


@cache
def country_zones() -> Mapping[str, tuple[str, ...]]:
    """Return the zones of every country by its two-letter code, in the database's order."""
    found: dict[str, list[str]] = {}
    for code, _, zone, *_ in _rows("zone.tab"):
        found.setdefault(code, []).append(zone)
    return {code: tuple(zones) for code, zones in found.items()} | {"XK": ("Europe/Belgrade",)}


@cache
def zone_countries() -> Mapping[str, str]:
    """Return the country that each zone is named for."""
    return {zone: code for code, _, zone, *_ in _rows("zone.tab")}


@cache
def zone_names() -> frozenset[str]:
    """Return every name that the database knows, aliases included."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


@cache
def country_names() -> Mapping[str, str]:
    """Return the English name of every country by its code."""
    return {code: name for code, name, *_ in _rows("iso3166.tab")} | {"XK": "Kosovo"} | _SHORT_NAMES


def find_country(text: str) -> str | None:
    """Return the two-letter code of a country in an address, or None.

    >>> [find_country(name) for name in ("de", "DEU", "Germania", "U.S.A.", "England", "Korea, Republic of")]
    ['DE', 'DE', 'DE', 'US', 'GB', 'KR']
    """
    place = locate(text, "")
    return place.country if place else None


def locate(country: str, state: str) -> Place | None:
    """Return the place that the country and the state of an address name, None where the country is not known.

    A part that is named as a country (Scotland) is a state, and a territory that is named as a state (Guam, Jersey) a
    country of its own, as ISO 3166 has it.

    >>> locate("Scotland", ""), locate("USA", "Puerto Rico"), locate("Virgin Islands, U.S.", "")
    (Place(country='GB', state='Scotland'), Place(country='PR', state=''), Place(country='VI', state=''))
    """
    name = normalized(country)
    subdivision = _SUBDIVISION.fullmatch(country.strip())
    if subdivision and subdivision[1].upper() in country_zones():
        return _in_country(subdivision[1].upper(), state or subdivision[2])
    part = _PARTS.get(name)
    if part:
        return Place(part.country, state or part.state)
    code = _countries().get(name) or _countries().get(_squeezed(name))
    if code:
        return _in_country(code, state)
    return _turned(country, state) or _formal(name, state) or _by_state(country, name)


def state_zones(country: str, state: str) -> tuple[str, ...]:
    """Return the zones of a state or province by its name or abbreviation, that of most of its people first; empty
    where it is not known."""
    table = _states().get(country, {})
    return next((table[name] for name in state_readings(country, state) if name in table), ())


def state_readings(country: str, state: str) -> Iterator[str]:
    """Yield what a state may be called, `normalized`, the likeliest first: as it stands, without its code's country,
    its kind and its country ("US-CA", "New York State", "Ontario, Canada"), then its parts ("Texas (TX)", "Texas TX").

    >>> list(state_readings("US", "US-CA"))
    ['us ca', 'ca', 'us']
    """
    seen = dict.fromkeys(_readings(country, state))
    yield from (name for name in seen if name)


def _readings(country: str, state: str) -> Iterator[str]:
    whole = normalized(state)
    for name in (whole, *(normalized(piece) for piece in _SEPARATORS.split(state))):
        words = name.split()
        yield name
        if words[:1] == [country.lower()]:
            yield " ".join(words[1:])
        yield _without_kind(name)
        yield _SHORTENED.get(country, {}).get(name, "")
        for length in (1, 2, 3):
            if _countries().get(" ".join(words[-length:])) == country and len(words) > length:
                yield _without_kind(" ".join(words[:-length]))
    words = whole.split()
    if len(words) > 1 and len(words[-1]) <= _LONGEST_CODE:
        yield words[-1]
        yield " ".join(words[:-1])


def city_zones(country: str, city: str) -> tuple[str, ...]:
    """Return the zones in which a country has a city of this name; empty where none is known.

    One zone where at least 95 of 100 people who live in cities of that name live in it.
    """
    table = _cities().get(country, {})
    name = normalized(city)
    return table.get(name) or table.get(_without_kind(name)) or table.get(normalized(city.partition(",")[0])) or ()


_SHORTENED = {
    country: dict(pair.split(":") for pair in pairs.split())
    for country, pairs in {
        "US": "ala:al ariz:az ark:ar calif:ca cal:ca colo:co conn:ct del:de fla:fl ill:il ind:in kan:ks kans:ks mass:ma"
        " mich:mi minn:mn miss:ms mont:mt neb:ne nebr:ne nev:nv okla:ok ore:or oreg:or penn:pa penna:pa tenn:tn tex:tx"
        " wash:wa wis:wi wisc:wi wyo:wy",
        "CA": "alta:ab man:mb nfld:nl ont:on que:qc sask:sk",
    }.items()
}
"""What was written before there were codes of two letters."""
_SUBDIVISION = re.compile(r"([A-Za-z]{2})[-_]([A-Za-z0-9]{1,3})")
"""A code of ISO 3166-2."""
_SEPARATORS = re.compile(r"[,;/()|–—]| - ")
_LONGEST_CODE = 4


def _in_country(code: str, state: str) -> Place:
    """Return the place of a state of a country, which may be a territory with a code of its own."""
    territories = _TERRITORIES.get(code, "").split()
    if state and territories and not state_zones(code, state):
        for name in state_readings(code, state):
            if _countries().get(name) in territories:
                return Place(_countries()[name], "")
    return Place(code, state)


def _turned(country: str, state: str) -> Place | None:
    """Return what "Korea, Republic of" names, or "Iran (Islamic Republic of)", or "Georgia, USA"."""
    turned = _TURNED.fullmatch(country)
    if not turned:
        return None
    first, second = turned[1].strip(), turned[2].strip()
    name = _squeezed(normalized(f"{second} {first}"))
    if name in _countries():
        return _in_country(_countries()[name], state)
    part = _PARTS.get(normalized(second))
    if part:
        return Place(part.country, state or part.state)
    outer, inner = (_countries().get(_squeezed(normalized(text))) for text in (second, first))
    if outer:
        place = _in_country(outer, first)
        if place.country != outer or state_zones(outer, first) or not inner:
            return place
    if inner:
        return _in_country(inner, state)
    return _formal(normalized(first), state)


def _formal(name: str, state: str) -> Place | None:
    """Return what a formal name names: the Plurinational State of Bolivia, the Kingdom of Denmark."""
    short = "".join(word for word in name.split() if word not in _FORMAL)
    code = _countries().get(short) if len(short) > _LONGEST_CODE - 1 else None
    return _in_country(code, state) if code else None


def _by_state(country: str, name: str) -> Place | None:
    """Return a state that was written where the country belongs: California."""
    if len(name) <= _LONGEST_CODE:
        return None
    found = [code for code, table in _states().items() if name in table]
    return Place(found[0], country) if len(found) == 1 else None


def _squeezed(name: str) -> str:
    """Return a normalized name without what is left out or written differently: Hongkong, Trinidad & Tobago."""
    return "".join(word for word in name.split() if word not in ("and", "of", "the"))


def _without_kind(name: str) -> str:
    words = [word for word in name.split() if word not in _KINDS]
    return " ".join(words)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KINDS = _words("""
state province region oblast krai territory city of the provinsi estado provincia de do da canton kanton land
freistaat county prefecture department departamento comunidad autonoma autonomous commonwealth
""")
_FORMAL = _words("""
republic rep republica republique republik repubblica kingdom state states federation federative federal islamic
democratic socialist peoples people s arab bolivarian plurinational commonwealth sultanate principality grand
duchy cooperative co operative united union independent hashemite sovereign former yugoslav of the and
""")
_TURNED = re.compile(r"([^,()]++)[,(]([^,()]++)\)?\s*")

_PARTS = {
    normalized(name): Place(country, state)
    for country, state, names in (
        ("GB", "England", "England;GB-ENG;Inghilterra;Angleterre;Inglaterra;Engeland"),
        ("GB", "Scotland", "Scotland;GB-SCT;Schottland;Écosse;Escocia;Scozia;Schotland"),
        ("GB", "Wales", "Wales;GB-WLS;Cymru;Pays de Galles;Gales;Galles"),
        (
            "GB",
            "Northern Ireland",
            "Northern Ireland;GB-NIR;Nordirland;Irlande du Nord;Irlanda del Norte;Irlanda del Nord",
        ),
        ("ES", "Canarias", "Canary Islands;Islas Canarias;Canarias;Kanarische Inseln"),
        ("ES", "Ceuta", "Ceuta;Ceuta & Melilla;Melilla"),
        ("PT", "Açores", "Azores;Açores"),
        ("PT", "Madeira", "Madeira"),
        ("SH", "", "Ascension Island;Ascension;Tristan da Cunha"),
        ("IO", "", "Diego Garcia"),
        ("GG", "", "Sark;Alderney"),
        ("TZ", "", "Zanzibar"),
    )
    for name in names.split(";")
}
"""Parts of countries that are written where the country belongs, with and without a code of their own."""

_TERRITORIES = {
    "AU": "CC CX HM NF",
    "CN": "HK MO",
    "DK": "FO GL",
    "FI": "AX",
    "FR": "BL GF GP MF MQ NC PF PM RE TF WF YT",
    "GB": "AI BM FK GG GI GS IM IO JE KY MS PN SH TC VG",
    "NL": "AW BQ CW SX",
    "NO": "BV SJ",
    "NZ": "CK NU TK",
    "US": "AS FM GU MH MP PR PW UM VI",
}
"""Territories with a code of their own that are written as states of a country; of the United States all that its
postal service counts as such (USPS Publication 28)."""


def _rows(name: str) -> Iterator[list[str]]:
    for line in (files("tzdata.zoneinfo") / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


@cache
def _countries() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for code, name, *_ in _rows("iso3166.tab"):
        for spelling in (code, name, *_SPELLINGS.get(code, "").split(";")):
            found[normalized(spelling)] = code
            found[_squeezed(normalized(spelling))] = code
    found["xk"] = "XK"
    for line in _data("countries.tsv"):
        alpha3, code = line.split("\t")
        found.setdefault(normalized(alpha3), code)
    for code, name, *_ in _rows("iso3166.tab"):
        found.setdefault(_squeezed(normalized(name)), code)
    for line in _data("country_names.tsv"):
        code, names = line.split("\t")
        for name in names.split(";"):
            found.setdefault(name, code)
            found.setdefault(_squeezed(name), code)
    found.pop("", None)
    return found


@cache
def _cities() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in _data("cities.tsv"):
        country, zone, names = line.split("\t")
        table = found.setdefault(country, {})
        for name in names.split(";"):
            table[name] = (*table.get(name, ()), zone)
    return found


@cache
def _states() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for country, lines in _STATES.items():
        table = found.setdefault(country, {})
        for line in lines.strip().splitlines():
            zones, _, names = line.strip().partition(": ")
            for name in names.split(","):
                table[normalized(name)] = tuple(zones.split())
    return found


def _data(name: str) -> Iterator[str]:
    for line in (files("shared.engagement") / name).read_text("utf-8").splitlines():
        if not line.startswith("#"):
            yield line


_SHORT_NAMES = {"GB": "the United Kingdom", "US": "the United States", "NL": "the Netherlands", "AE": "the Emirates"}

_SPELLINGS = {
    "AE": "UAE;Emirates;United Arab Emirates",
    "AG": "Antigua",
    "AR": "República Argentina",
    "AT": "Österreich;Oesterreich",
    "BA": "Bosnia",
    "BE": "Belgique;België;Belgien",
    "BO": "Bolivia",
    "BQ": "Bonaire, Sint Eustatius and Saba;Bonaire",
    "BR": "Brasil",
    "CD": (
        "DR Congo;DRC;RDC;Zaire;Democratic Republic of the Congo;Congo Democratic Republic;Congo-Kinshasa"
        ";Dem. Rep. of Congo"
    ),
    "CG": "Congo;Republic of the Congo;Congo-Brazzaville",
    "CH": "Schweiz;Suisse;Svizzera;Swiss Confederation",
    "CI": "Ivory Coast;Cote d'Ivoire",
    "CN": "People's Republic of China;PR China;PRC;中国",
    "CV": "Cape Verde;Cabo Verde",
    "CZ": (
        "Czechia;Česko;Česká republika;Tschechien;Tschechische Republik;République tchèque"
        ";Repubblica Ceca;República Checa"
    ),
    "DE": "Deutschland;Bundesrepublik Deutschland;Federal Republic of Germany;Allemagne;BRD;D",
    "DK": "Danmark",
    "EE": "Eesti",
    "ES": "España;Espana",
    "FI": "Suomi",
    "FK": "Malvinas",
    "FM": "Federated States of Micronesia",
    "FR": "République française;French Republic;Frankreich",
    "GA": "Gabonese Republic",
    "GB": (
        "UK;United Kingdom;United Kingdom of Great Britain and Northern Ireland;Great Britain;Britain"
        ";G.B.;Großbritannien;Grande-Bretagne;Gran Bretagna;Gran Bretaña;Groot-Brittannië"
    ),
    "GR": "Hellas;Ελλάδα;Hellenic Republic",
    "HK": "Hong Kong;Hong Kong SAR;Hong Kong SAR PRC;香港;Hong Kong Special Administrative Region of China",
    "HR": "Hrvatska",
    "HU": "Magyarország",
    "IE": "Éire;Republic of Ireland",
    "IL": "ישראל",
    "IN": "Bharat;भारत",
    "IR": "Islamic Republic of Iran",
    "IS": "Ísland",
    "IT": "Italia;Italien;Italian Republic",
    "JP": "日本;Nippon",
    "KG": "Kyrgyz Republic",
    "KN": "St Kitts;Saint Christopher and Nevis",
    "KP": (
        "North Korea;DPRK;Democratic People's Republic of Korea;Korea Democratic People's Republic"
        ";Dem. People's Rep. of Korea"
    ),
    "KR": "South Korea;Republic of Korea;Korea;대한민국",
    "KZ": "Казахстан",
    "LA": "Laos;Lao People's Democratic Republic;Lao PDR",
    "LB": "Lebanese Republic",
    "LT": "Lietuva",
    "LV": "Latvija",
    "LY": "Libyan Arab Jamahiriya",
    "MF": "Saint Martin (French part)",
    "MD": "Moldova;Republic of Moldova",
    "MK": "Macedonia;North Macedonia",
    "MM": "Myanmar;Burma",
    "MO": "Macau;Macao;Macao SAR;Macau SAR;澳門;澳门;Macao Special Administrative Region of China",
    "MV": "Republic of Maldives",
    "MX": "México;Estados Unidos Mexicanos;United Mexican States",
    "NL": "Holland;The Netherlands;Nederland;Niederlande",
    "NO": "Norge;Noreg",
    "NZ": "Aotearoa",
    "PH": "Pilipinas",
    "PL": "Polska;Polen",
    "PS": "Palestine;State of Palestine;Occupied Palestinian Territory;Palestinian Territory;West Bank;Gaza",
    "PT": "Portuguese Republic",
    "RO": "România",
    "RS": "Srbija",
    "RU": "Russia;Russian Federation;Россия;Российская Федерация",
    "RW": "Rwandese Republic",
    "SA": "KSA;Kingdom of Saudi Arabia",
    "SE": "Sverige",
    "SI": "Slovenija",
    "SH": "Saint Helena, Ascension and Tristan da Cunha",
    "SK": "Slovensko;Slovak Republic",
    "ST": "São Tomé",
    "SX": "Sint Maarten (Dutch part)",
    "SY": "Syria;Syrian Arab Republic",
    "SZ": "Swaziland;eSwatini",
    "TC": "Turks and Caicos",
    "TG": "Togolese Republic",
    "TL": "East Timor;Timor-Leste",
    "TR": "Türkiye;Turkiye;Turkey",
    "TT": "Trinidad",
    "TW": "Taiwan;Republic of China;Taiwan ROC;Chinese Taipei;Province of China Taiwan;台灣",
    "TZ": "Tanzania",
    "UA": "Україна;Ukraina",
    "UM": "United States Minor Outlying Islands",
    "US": (
        "USA;United States of America;U.S.;America;United States;Vereinigte Staaten;États-Unis"
        ";Estados Unidos;EE UU;Stati Uniti d'America;Vereinigte Staaten von Amerika;États-Unis d'Amérique"
        ";Estados Unidos de América"
    ),
    "UY": "Eastern Republic of Uruguay;Oriental Republic of Uruguay",
    "VA": "Vatican;Holy See;Vatican City State;Holy See (Vatican City State)",
    "VE": "Venezuela",
    "VC": "St Vincent",
    "VG": "Virgin Islands, British;BVI",
    "VI": "Virgin Islands, U.S.;USVI;Virgin Islands;Virgin Islands of the United States",
    "VN": "Viet Nam",
    "ZA": "RSA;South Africa",
}

_STATES = {
    "US": """
        America/Chicago: Alabama,AL,Arkansas,AR,Illinois,IL,Iowa,IA,Louisiana,LA,Minnesota,MN,Mississippi,MS,Missouri,MO
        America/Chicago: Oklahoma,OK,Wisconsin,WI
        America/Chicago America/Denver: Kansas,KS,Nebraska,NE,South Dakota,SD,Texas,TX
        America/Chicago America/Denver America/North_Dakota/Center America/North_Dakota/Beulah: North Dakota,ND
        America/Denver: Colorado,CO,Montana,MT,New Mexico,NM,Utah,UT,Wyoming,WY
        America/Boise America/Los_Angeles: Idaho,ID
        America/Phoenix America/Denver: Arizona,AZ
        America/Los_Angeles: California,CA,Washington,WA
        America/Los_Angeles America/Boise: Oregon,OR
        America/Los_Angeles America/Denver: Nevada,NV
        America/New_York: Connecticut,CT,Delaware,DE,District of Columbia,DC,Washington DC,Georgia,GA,Maine,ME
        America/New_York: Maryland,MD
        America/New_York: Massachusetts,MA,New Hampshire,NH,New Jersey,NJ,New York,NY,North Carolina,NC,Ohio,OH
        America/New_York: Pennsylvania,PA,Rhode Island,RI,South Carolina,SC,Vermont,VT,Virginia,VA,West Virginia,WV
        America/New_York America/Chicago: Florida,FL
        America/Indiana/Indianapolis America/Chicago: Indiana,IN
        America/New_York America/Chicago America/Kentucky/Louisville: Kentucky,KY
        America/Detroit America/Menominee: Michigan,MI
        America/Chicago America/New_York: Tennessee,TN
        America/Anchorage America/Adak: Alaska,AK
        Pacific/Honolulu: Hawaii,HI
    """,
    "CA": """
        America/Edmonton: Alberta,AB
        America/Vancouver America/Edmonton America/Dawson_Creek America/Creston America/Fort_Nelson: British Columbia,BC
        America/Winnipeg: Manitoba,MB
        America/Halifax: New Brunswick,NB,Nova Scotia,NS,Prince Edward Island,PE,PEI
        America/St_Johns America/Goose_Bay: Newfoundland and Labrador,NL,Newfoundland,NF
        America/Edmonton: Northwest Territories,NT
        America/Toronto America/Winnipeg: Ontario,ON
        America/Toronto America/Blanc-Sablon: Quebec,QC,PQ
        America/Regina America/Edmonton: Saskatchewan,SK
        America/Whitehorse: Yukon,YT,Yukon Territory
        America/Iqaluit America/Rankin_Inlet America/Cambridge_Bay: Nunavut,NU
    """,
    "AU": """
        Australia/Sydney Australia/Broken_Hill Australia/Lord_Howe: New South Wales,NSW
        Australia/Sydney: Australian Capital Territory,ACT
        Australia/Melbourne: Victoria,VIC
        Australia/Brisbane: Queensland,QLD
        Australia/Adelaide: South Australia,SA
        Australia/Perth Australia/Eucla: Western Australia,WA
        Australia/Hobart: Tasmania,TAS
        Australia/Darwin: Northern Territory,NT
    """,
    "BR": """
        America/Rio_Branco: Acre,AC
        America/Maceio: Alagoas,AL,Sergipe,SE
        America/Belem: Amapá,AP,Pará,PA
        America/Manaus America/Eirunepe: Amazonas,AM
        America/Bahia: Bahia,BA
        America/Fortaleza: Ceará,CE,Maranhão,MA,Paraíba,PB,Piauí,PI,Rio Grande do Norte,RN
        America/Sao_Paulo: Distrito Federal,DF,Espírito Santo,ES,Goiás,GO,Minas Gerais,MG,Paraná,PR,Rio de Janeiro,RJ
        America/Sao_Paulo: Rio Grande do Sul,RS,Santa Catarina,SC,São Paulo,SP
        America/Cuiaba: Mato Grosso,MT
        America/Campo_Grande: Mato Grosso do Sul,MS
        America/Recife America/Noronha: Pernambuco,PE
        America/Porto_Velho: Rondônia,RO
        America/Boa_Vista: Roraima,RR
        America/Araguaina: Tocantins,TO
    """,
    "MX": """
        America/Mexico_City: Aguascalientes,AGS,Chiapas,CHIS,Ciudad de México,CDMX,DF,Distrito Federal,Mexico City
        America/Mexico_City: Colima
        America/Mexico_City: Guanajuato,GTO,Guerrero,GRO,Hidalgo,HGO,Jalisco,JAL,Estado de México,México,Michoacán,MICH
        America/Mexico_City: Morelos,MOR,Oaxaca,OAX,Puebla,PUE,Querétaro,QRO,San Luis Potosí,SLP,Tabasco,TAB,Tlaxcala
        America/Mexico_City: Veracruz,VER,Zacatecas,ZAC
        America/Tijuana: Baja California,BC,BCN
        America/Mazatlan: Baja California Sur,BCS,Sinaloa,SIN
        America/Mazatlan America/Bahia_Banderas: Nayarit,NAY
        America/Merida: Campeche,CAMP,Yucatán,YUC
        America/Chihuahua America/Ciudad_Juarez America/Ojinaga: Chihuahua,CHIH
        America/Monterrey America/Matamoros: Coahuila,COAH,Nuevo León,NL,Tamaulipas,TAMPS
        America/Monterrey: Durango,DGO
        America/Cancun: Quintana Roo,QROO
        America/Hermosillo: Sonora,SON
    """,
    "ID": """
        Asia/Jakarta: Aceh,North Sumatra,Sumatera Utara,West Sumatra,Sumatera Barat,Riau,Riau Islands,Kepulauan Riau
        Asia/Jakarta: Jambi
        Asia/Jakarta: South Sumatra,Sumatera Selatan,Bengkulu,Lampung,Bangka Belitung,Banten,Jakarta,DKI Jakarta
        Asia/Jakarta: West Java,Jawa Barat,Central Java,Jawa Tengah,East Java,Jawa Timur,Yogyakarta,DI Yogyakarta
        Asia/Pontianak: West Kalimantan,Kalimantan Barat,Central Kalimantan,Kalimantan Tengah
        Asia/Makassar: South Kalimantan,Kalimantan Selatan,East Kalimantan,Kalimantan Timur,North Kalimantan
        Asia/Makassar: Kalimantan Utara,Bali,West Nusa Tenggara,Nusa Tenggara Barat,East Nusa Tenggara
        Asia/Makassar: Nusa Tenggara Timur
        Asia/Makassar: South Sulawesi,Sulawesi Selatan,Central Sulawesi,Sulawesi Tengah,North Sulawesi,Sulawesi Utara
        Asia/Makassar: West Sulawesi,Sulawesi Barat,Southeast Sulawesi,Sulawesi Tenggara,Gorontalo
        Asia/Jayapura: Maluku,North Maluku,Maluku Utara,Papua,West Papua,Papua Barat,South Papua,Central Papua
        Asia/Jayapura: Highland Papua,Southwest Papua
    """,
    "ES": """
        Atlantic/Canary: Canarias,Canary Islands,Islas Canarias,Las Palmas,Santa Cruz de Tenerife,Tenerife,Gran Canaria
        Europe/Madrid: Andalucía,Aragón,Asturias,Cantabria,Castilla y León,Castilla-La Mancha,Cataluña,Catalunya
        Europe/Madrid: Catalonia,Comunidad de Madrid,Comunidad Valenciana,Extremadura,Galicia,Islas Baleares
        Europe/Madrid: Illes Balears
        Europe/Madrid: La Rioja,Navarra,País Vasco,Euskadi,Vizcaya,Bizkaia,Guipúzcoa,Gipuzkoa,Álava
    """,
    "PT": """
        Atlantic/Azores: Açores,Azores
        Europe/Lisbon: Madeira,Algarve,Alentejo,Lisboa,Porto
    """,
    "CL": """
        Pacific/Easter: Isla de Pascua,Easter Island
        America/Punta_Arenas: Magallanes
        America/Coyhaique: Aysén
        America/Santiago: Región Metropolitana,Metropolitana,RM,Valparaíso,Biobío,Antofagasta,Maule,Los Lagos,Araucanía
    """,
    "NZ": """
        Pacific/Chatham: Chatham Islands
        Pacific/Auckland: Auckland,Wellington,Canterbury,Otago,Waikato,Bay of Plenty,Northland,Southland,Taranaki
        Pacific/Auckland: Hawke's Bay,Manawatu-Wanganui,Nelson,Marlborough,Tasman,West Coast,Gisborne
    """,
    "EC": """
        Pacific/Galapagos: Galápagos
        America/Guayaquil: Pichincha,Guayas,Azuay,Manabí,Imbabura,Tungurahua,Loja
    """,
}
