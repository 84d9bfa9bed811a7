"""Which language a text is in, as far as its letters and its smallest words say.

A check, and no linguist: it tells languages of different scripts apart by their letters, and those of Latin and
Cyrillic letters by words that are in every other sentence. It says nothing of a text that is short, mixed, mostly
code, or in a language that is not listed: then it cannot be said that the answer is in the wrong one.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

FEWEST_WORDS = 12
"""Of a text with fewer, nothing is said where words must tell."""
_SCANNED_CHARS = 4_000
_LEAST_SHARE = 0.12
"""Of the words of a text that must be a language's small ones: prose has 30 to 50 %."""
_CLEARLY = 1.5
"""Times as many of them as of any other language."""

_SMALL_WORDS: Mapping[str, str] = {
    "en": "the of and to in is that it for was on are with as be this by not or from have an they which you at",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er",
    "fr": "le la les et des en un une du est que dans qui pour pas sur au par avec ce il sont plus se ne ou cette",
    "es": "el la los las de que y en un una por con no para es se del como más al su lo son este pero sus ha",
    "it": "il lo la gli le di che e un una per con non è in del della sono si da come più al dei nel anche ma",
    "pt": "o os as de que e em um uma por com não para é se do da como mais ao dos das são na no sua mas foi",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er ook als maar om bij door naar uit worden dit",
    "sv": "och att det som en på är av för med den till inte om ett har de jag var från men så kan eller vi nu",
    "da": "og at det som en på er af for med den til ikke om et har de jeg var fra men så kan eller vi nu ved",
    "pl": "i w na z że się do nie jest to o jak ale za co od po tym przez dla są tak oraz czy może był",
    "tr": "ve bir bu da de için ile olarak çok daha olan gibi en ne ama kadar sonra ya var değil her o ki",
    "ru": "и в не на что с по как это но из за для от так же к у о все он она они мы вы был или если",
    "uk": "і в не на що з як це але за для від так та до у про він вона вони ми ви був або якщо є",
}
_WORDS = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "ja": ("HIRAGANA", "KATAKANA"),
    "zh": ("CJK",),
    "ko": ("HANGUL",),
    "ar": ("ARABIC",),
    "he": ("HEBREW",),
    "el": ("GREEK",),
    "hi": ("DEVANAGARI",),
    "th": ("THAI",),
}
LANGUAGES = tuple(sorted((*_WORDS, *_SCRIPTS)))
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+")


def language_of(text: str) -> str | None:
    """One of LANGUAGES; None where that cannot be said."""
    prose = _CODE.sub(" ", text[:_SCANNED_CHARS])
    letters = [character for character in prose if character.isalpha()]
    return _by_script(letters) or _by_words(_WORD.findall(prose.lower()))


def _by_script(letters: list[str]) -> str | None:
    """The language that has most of the letters to itself; Japanese has Chinese ones among its own."""
    scripts = Counter(unicodedata.name(letter, "").split(" ")[0].split("-")[0] for letter in letters)
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and kana + scripts["CJK"] > len(letters) / 2 and kana > scripts["CJK"] / 10:
        return "ja"
    for language, names in _SCRIPTS.items():
        if sum(scripts[name] for name in names) > len(letters) / 2:
            return language
    return None


def _by_words(words: list[str]) -> str | None:
    if len(words) < FEWEST_WORDS:
        return None
    counts = sorted(((sum(word in small for word in words), language) for language, small in _WORDS.items()))
    (second, _), (most, language) = counts[-2:]
    is_clear = most >= _LEAST_SHARE * len(words) and most >= _CLEARLY * second
    return language if is_clear else None
