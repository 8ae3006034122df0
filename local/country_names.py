"""Writes shared/engagement/country_names.tsv from CLDR: `make places`.

CLDR's names come with the package Babel. Read at run time, all languages would cost a second and a lot of memory, and
a country that somebody typed may be in any of them.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import babel
from babel import Locale

from shared.engagement.places import country_names, normalized

TARGET = Path(__file__).parent.parent / "shared" / "engagement" / "country_names.tsv"
_LANGUAGES = """
en af am ar az be bg bn bs ca cs cy da de el es et eu fa fi fil fr ga gl gu he hi hr hu hy id is it ja ka kk km kn
ko ky lb lo lt lv mk ml mn mr ms mt my nb ne nl nn pa pl ps pt pt_PT ro ru rw si sk sl so sq sr sr_Latn sv sw ta te
th tk tr uk ur uz vi zh zh_Hant zu
""".split()  # noqa: SIM905 - words, as one reads them
"""Languages in which somebody may keep an address book: the official ones of countries, as far as CLDR has them."""


def lines() -> Iterator[str]:
    """Yield the file's lines: where the names are from, then for each country its code and its names, as `normalized`.

    A name that two countries have in different languages is left out, unless it is the English name of one.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    english: dict[str, str] = {}
    for language in _LANGUAGES:
        territories = Locale.parse(language).territories
        for code in country_names():
            name = normalized(territories.get(code, ""))
            if name and language == "en":
                english[name] = code
            elif name:
                owners[name].add(code)
    names: dict[str, set[str]] = defaultdict(set)
    for name, codes in owners.items():
        if name not in english and len(codes) == 1:
            names[next(iter(codes))].add(name)
    for name, code in english.items():
        names[code].add(name)
    yield f"# From Unicode CLDR, as in Babel {babel.__version__}; Unicode License V3 (https://www.unicode.org/license.txt)."
    yield "# Selected and rearranged by local/country_names.py: two-letter code, names in many languages"
    for code in sorted(names):
        yield f"{code}\t{';'.join(sorted(names[code]))}"


def main() -> None:
    """Write the file anew."""
    TARGET.write_text("".join(f"{line}\n" for line in lines()), "utf-8")


if __name__ == "__main__":
    main()
