"""What a postal address names: a country from its code, name or a common spelling, and the time zones of a state or
city where a country has several. Reads tables and decides nothing.

Countries and zones: ``iso3166.tab`` and ``zone.tab`` of the IANA time zone database (package tzdata). Cities:
``cities.tsv`` beside this module, extracted from GeoNames (https://www.geonames.org, CC BY 4.0) by ``local/cities.py``.
States: the tables below, after the time zone laws of each country as tzdata has them.
"""

from collections.abc import Iterator, Mapping
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


@cache
def country_zones() -> Mapping[str, tuple[str, ...]]:
    """Return the zones of every country by its two-letter code, in the database's order."""
    found: dict[str, list[str]] = {}
    for code, _, zone, *_ in _rows("zone.tab"):
        found.setdefault(code, []).append(zone)
    return {code: tuple(zones) for code, zones in found.items()}


@cache
def zone_countries() -> Mapping[str, str]:
    """Return the country that each zone is named for."""
    return {zone: code for code, zones in country_zones().items() for zone in zones}


@cache
def zone_names() -> frozenset[str]:
    """Return every name that the database knows, aliases included."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


@cache
def country_names() -> Mapping[str, str]:
    """Return the English name of every country by its code."""
    return {code: name for code, name, *_ in _rows("iso3166.tab")} | _SHORT_NAMES


def find_country(text: str) -> str | None:
    """Return the two-letter code of a country in an address, or None.

    >>> [find_country(name) for name in ("de", "DEU", "Deutschland", "U.S.A.", "England", "Atlantis")]
    ['DE', 'DE', 'DE', 'US', 'GB', None]
    """
    return _countries().get(normalized(text))


def state_zones(country: str, state: str) -> tuple[str, ...]:
    """Return the zones of a state or province by its name or abbreviation, that of most of its people first; empty
    where it is not known."""
    name = normalized(state)
    table = _states().get(country, {})
    return table.get(name) or table.get(_without_kind(name)) or ()


def city_zones(country: str, city: str) -> tuple[str, ...]:
    """Return the zones in which a country has a city of this name; empty where none is known.

    One zone where at least 95 of 100 people who live in cities of that name live in it.
    """
    name = normalized(city)
    table = _cities().get(country, {})
    return table.get(name) or table.get(_without_kind(name)) or ()


def _without_kind(name: str) -> str:
    words = [word for word in name.split() if word not in _KINDS]
    return " ".join(words)


_KINDS = frozenset(
    {"state", "province", "region", "oblast", "krai", "territory", "city", "of", "provinsi", "estado", "de"}
)


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
    for line in _data("countries.tsv"):
        alpha3, code = line.split("\t")
        found.setdefault(normalized(alpha3), code)
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
    "AR": "República Argentina",
    "AT": "Österreich;Oesterreich",
    "BA": "Bosnia",
    "BE": "Belgique;België;Belgien",
    "BO": "Bolivia",
    "BR": "Brasil",
    "CD": "DR Congo;Democratic Republic of the Congo;Congo-Kinshasa",
    "CG": "Republic of the Congo;Congo-Brazzaville",
    "CH": "Schweiz;Suisse;Svizzera",
    "CI": "Ivory Coast;Cote d'Ivoire",
    "CN": "People's Republic of China;PR China;PRC;中国",
    "CZ": "Czechia;Česko;Česká republika",
    "DE": "Deutschland;Bundesrepublik Deutschland;Federal Republic of Germany;Allemagne",
    "DK": "Danmark",
    "EE": "Eesti",
    "ES": "España;Espana",
    "FI": "Suomi",
    "FR": "République française;Frankreich",
    "GB": "UK;United Kingdom;Great Britain;Britain;England;Scotland;Wales;Northern Ireland;GB-ENG;GB-SCT;GB-WLS;GB-NIR",
    "GR": "Hellas;Ελλάδα;Hellenic Republic",
    "HK": "Hong Kong SAR",
    "HR": "Hrvatska",
    "HU": "Magyarország",
    "IE": "Éire;Republic of Ireland",
    "IL": "ישראל",
    "IN": "Bharat;भारत",
    "IR": "Islamic Republic of Iran",
    "IS": "Ísland",
    "IT": "Italia;Italien",
    "JP": "日本;Nippon",
    "KP": "North Korea",
    "KR": "South Korea;Republic of Korea;Korea;대한민국",
    "KZ": "Казахстан",
    "LA": "Laos",
    "LT": "Lietuva",
    "LV": "Latvija",
    "MD": "Moldova;Republic of Moldova",
    "MK": "Macedonia;North Macedonia",
    "MM": "Myanmar;Burma",
    "MO": "Macau;Macao",
    "MX": "México;Estados Unidos Mexicanos",
    "NL": "Holland;The Netherlands;Nederland;Niederlande",
    "NO": "Norge;Noreg",
    "NZ": "Aotearoa",
    "PH": "Pilipinas",
    "PL": "Polska;Polen",
    "PS": "Palestine",
    "RO": "România",
    "RS": "Srbija",
    "RU": "Russia;Russian Federation;Россия;Российская Федерация",
    "SA": "KSA;Kingdom of Saudi Arabia",
    "SE": "Sverige",
    "SI": "Slovenija",
    "SK": "Slovensko",
    "SY": "Syria",
    "TR": "Türkiye;Turkiye;Turkey",
    "TW": "Taiwan;Republic of China;台灣",
    "TZ": "Tanzania",
    "UA": "Україна;Ukraina",
    "US": "USA;United States of America;U.S.;America;United States;Vereinigte Staaten;États-Unis;Estados Unidos;EE UU",
    "VA": "Vatican;Holy See",
    "VE": "Venezuela",
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
