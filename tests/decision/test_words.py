"""The lists hold what texts can contain: every word, phrase and stem in the form in which `features` leaves a text."""

from collections import Counter

from builders import call
from routewright.decision.features import Script, extract
from routewright.decision.words import (
    _COMMANDS,
    _IMPERATIVES,
    _SUBJECTS,
    ASKING_ABOUT,
    GIVEN,
    LEXICON,
    NARRATIVE,
    PORTED,
    PRELUDE,
    PROGRAMS,
    STEMS,
    TRANSFORMED_CODE,
    Family,
)


def as_read(text: str) -> str:
    return " ".join(extract(call(text)).words)


def test_every_word_can_be_found_in_a_text() -> None:
    words = {*LEXICON, *ASKING_ABOUT, *GIVEN, *NARRATIVE, *PORTED, *PRELUDE, *PROGRAMS, *TRANSFORMED_CODE}
    assert [word for word in words if as_read(word) != word] == []


def test_every_phrase_hangs_on_words_that_it_holds() -> None:
    for gate, entry in LEXICON.items():
        for other, phrases in entry.phrases.items():
            for phrase in phrases:
                assert as_read(phrase.text) == phrase.text.strip()
                assert Counter([gate, other]) <= Counter(phrase.text.split())


def test_every_stem_can_be_found_in_a_text_of_its_script() -> None:
    for script, by_character in STEMS.items():
        for character, stems in by_character.items():
            for stem in stems:
                assert as_read(stem.text) == stem.text
                assert stem.text[0] == character
                assert stem.text.isascii() or extract(call(stem.text)).script is script


def test_no_word_has_two_meanings() -> None:
    words = Counter(
        word for table in (_COMMANDS, _IMPERATIVES, _SUBJECTS) for _, _, block in table for word in block.split()
    )
    assert [word for word, times in words.items() if times > 1] == []


def test_every_script_but_latin_has_stems_for_every_kind_of_work() -> None:
    assert set(STEMS) == set(Script) - {Script.LATIN}
    for by_character in STEMS.values():
        families = {stem.family for stems in by_character.values() for stem in stems}
        assert families == {Family.STRUCTURED, Family.REASONING, Family.ROUTINE, Family.PLAIN}
