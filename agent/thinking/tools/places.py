"""Places and their time zones: every city of the tz database, and the names people use besides.

Names are matched as written, then by spelling and sound together, so that `toe key oh` is
Tokyo; what is not near to anything is no place.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from functools import cache

from rapidfuzz import fuzz, process

# Zone: names. The first name of each group is the spelling shown; "/" parts names.
_ALIASES = """
Asia/Tokyo: Japan / Osaka / Kyoto
Asia/Shanghai: Beijing / China / Shenzhen / Guangzhou / Wuhan
Asia/Kolkata: India / Delhi / New Delhi / Mumbai / Bombay / Bangalore / Chennai / Calcutta / Hyderabad
Asia/Seoul: Korea / South Korea / Busan
Asia/Pyongyang: North Korea
Asia/Bangkok: Thailand
Asia/Ho_Chi_Minh: Vietnam / Hanoi / Saigon
Asia/Manila: Philippines / The Philippines
Asia/Jakarta: Indonesia
Asia/Makassar: Bali
Asia/Kuala_Lumpur: Malaysia
Asia/Taipei: Taiwan
Asia/Karachi: Pakistan / Lahore / Islamabad
Asia/Dhaka: Bangladesh
Asia/Kathmandu: Nepal / Katmandu
Asia/Colombo: Sri Lanka
Asia/Yangon: Myanmar / Burma / Rangoon
Asia/Kabul: Afghanistan
Asia/Tehran: Iran
Asia/Baghdad: Iraq
Asia/Riyadh: Saudi Arabia / Mecca
Asia/Dubai: United Arab Emirates / Abu Dhabi / The Emirates
Asia/Jerusalem: Israel / Haifa
Asia/Beirut: Lebanon
Asia/Damascus: Syria
Asia/Amman: Jordan
Asia/Tashkent: Uzbekistan
Asia/Almaty: Kazakhstan / Astana
Europe/London: England / Britain / Great Britain / United Kingdom / The UK / UK / Scotland / Wales / Manchester
Europe/London: Birmingham / Liverpool / Edinburgh / Glasgow / Oxford / Cambridge / Leeds / Bristol / Cardiff
Europe/Dublin: Ireland / Cork
Europe/Paris: France / Lyon / Marseille / Nice / Bordeaux / Strasbourg
Europe/Berlin: Germany / Munich / Hamburg / Frankfurt / Cologne / Stuttgart / Dresden / Leipzig
Europe/Madrid: Spain / Barcelona / Seville / Valencia
Europe/Lisbon: Portugal / Porto
Europe/Rome: Italy / Milan / Florence / Venice / Naples / Turin / Bologna
Europe/Vienna: Austria / Salzburg
Europe/Zurich: Switzerland / Geneva / Basel / Bern
Europe/Brussels: Belgium / Antwerp
Europe/Amsterdam: Netherlands / The Netherlands / Holland / Rotterdam / The Hague
Europe/Copenhagen: Denmark
Europe/Stockholm: Sweden
Europe/Oslo: Norway / Bergen
Europe/Helsinki: Finland
Atlantic/Reykjavik: Iceland
Europe/Warsaw: Poland / Krakow
Europe/Prague: Czech Republic / The Czech Republic / Czechia
Europe/Bratislava: Slovakia
Europe/Budapest: Hungary
Europe/Bucharest: Romania
Europe/Sofia: Bulgaria
Europe/Belgrade: Serbia
Europe/Zagreb: Croatia
Europe/Ljubljana: Slovenia
Europe/Sarajevo: Bosnia
Europe/Athens: Greece / Crete
Europe/Istanbul: Turkey / Ankara
Europe/Kyiv: Ukraine / Kiev
Europe/Moscow: Russia / Saint Petersburg
Europe/Minsk: Belarus
Europe/Vilnius: Lithuania
Europe/Riga: Latvia
Europe/Tallinn: Estonia
Africa/Cairo: Egypt / Alexandria
Africa/Johannesburg: South Africa / Cape Town / Pretoria / Durban
Africa/Nairobi: Kenya
Africa/Lagos: Nigeria
Africa/Accra: Ghana
Africa/Addis_Ababa: Ethiopia
Africa/Casablanca: Morocco / Marrakesh / Rabat
Africa/Algiers: Algeria
Africa/Tunis: Tunisia
Africa/Tripoli: Libya
Africa/Khartoum: Sudan
Africa/Dakar: Senegal
Africa/Kampala: Uganda
Africa/Dar_es_Salaam: Tanzania / Zanzibar
Africa/Harare: Zimbabwe
Africa/Luanda: Angola
Africa/Kigali: Rwanda
America/New_York: New York City / Boston / Washington / Washington DC / Philadelphia / Miami / Atlanta / Orlando
America/New_York: Baltimore / Pittsburgh / Florida / Georgia / Massachusetts / Eastern Time / Cleveland / Charlotte
America/New_York: Buffalo
America/Chicago: Houston / Dallas / Austin / Texas / New Orleans / Minneapolis / Nashville / Memphis / Milwaukee
America/Chicago: Saint Louis / Kansas City / Central Time / Illinois
America/Denver: Colorado / Salt Lake City / Utah / Santa Fe / Albuquerque / Mountain Time
America/Phoenix: Arizona / Tucson
America/Los_Angeles: San Francisco / Seattle / San Diego / Las Vegas / Portland / California / Oakland / San Jose
America/Los_Angeles: Sacramento / Oregon / Nevada / Silicon Valley / Pacific Time / Hollywood
America/Anchorage: Alaska
Pacific/Honolulu: Hawaii
America/Toronto: Ottawa / Montreal / Ontario / Quebec
America/Vancouver: British Columbia
America/Edmonton: Calgary / Alberta
America/Mexico_City: Mexico
America/Sao_Paulo: Brazil / Rio de Janeiro / Rio / Brasilia
America/Argentina/Buenos_Aires: Argentina
America/Santiago: Chile
America/Bogota: Colombia
America/Lima: Peru
America/Caracas: Venezuela
America/La_Paz: Bolivia
America/Guayaquil: Ecuador / Quito
America/Asuncion: Paraguay
America/Montevideo: Uruguay
America/Havana: Cuba
America/Panama: Panama City
America/Santo_Domingo: Dominican Republic
Australia/Sydney: Australia
Pacific/Auckland: New Zealand / Wellington / Christchurch
Pacific/Port_Moresby: Papua New Guinea
UTC: UTC / Greenwich / GMT / Greenwich Mean Time / Universal Time
"""
_AREAS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
_NOT_CITIES = frozenset(
    "act center currie lhi nsw north south west knox in troll casey davis palmer resolute virgin nome wake oral vevay "
    "yancowinna christmas easter chatham midway johnston norfolk knox petersburg beulah reunion stanley chita".split()
)
_BEST_KNOWN = ("Paris", "Tokyo", "London", "New York", "Berlin", "Sydney", "Los Angeles", "Moscow", "Hong Kong")
_SOUNDS = (
    (r"ph", "f"), (r"ck|[cqg]", "k"), (r"x", "ks"), (r"z", "s"), (r"d", "t"), (r"b", "p"), (r"v", "f"), (r"n", "m"),
    (r"[aeiouwyh\W_]", ""), (r"(.)\1+", r"\1"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """`name` as it is shown and spoken, `zone` as zoneinfo knows it."""

    name: str
    zone: str


@cache
def places() -> dict[str, Place]:
    """By lower-case name."""
    found: dict[str, Place] = {}
    available = zoneinfo.available_timezones()
    for zone in sorted(available):
        area, _, city = zone.partition("/")
        name = city.rsplit("/", 1)[-1].replace("_", " ")
        if area in _AREAS and name.lower() not in _NOT_CITIES:
            found.setdefault(name.lower().replace("-", " "), Place(name.replace("-", " "), zone))
    for line in _ALIASES.strip().splitlines():
        zone, _, names = line.partition(": ")
        for name in names.split(" / ") if zone in available else ():
            found[name.lower()] = Place(name.replace("The ", "the "), zone)
    return found


@cache
def known_names() -> list[str]:
    """Lower-case names that people are likely to say, for example sentences: best known first."""
    first = [line.partition(": ")[0].rsplit("/", 1)[-1].replace("_", " ") for line in _ALIASES.strip().splitlines()]
    named = [name for line in _ALIASES.strip().splitlines() for name in line.partition(": ")[2].split(" / ")]
    return list(dict.fromkeys(name.lower() for name in (*_BEST_KNOWN, *first, *named) if name.lower() in places()))


@cache
def sound(name: str) -> str:
    """A rough consonant skeleton in the spirit of Soundex: names that sound alike share it."""
    code = name.lower()
    for pattern, replacement in _SOUNDS:
        code = re.sub(pattern, replacement, code)
    return code


@cache
def _spellings() -> dict[str, str]:
    return {name: name.replace(" ", "") for name in places()}


def find_place(text: str) -> Place | None:
    """The place named by `text`, or the one it sounds most like if it is near enough."""
    name = " ".join(text.lower().replace("-", " ").replace(",", " ").split())
    for candidate in (name, name.removeprefix("the "), name.removeprefix("city of ")):
        if candidate in places():
            return places()[candidate]
    joined = name.replace(" ", "")
    if not 3 <= len(joined) <= 30:
        return None
    near = process.extract(joined, _spellings(), scorer=fuzz.ratio, score_cutoff=60, limit=8)
    scored = [((score + fuzz.ratio(sound(joined), sound(found))) / 2, known) for found, score, known in near]
    best, known = max(scored, default=(0.0, ""))
    return places()[known] if best >= 82 else None
