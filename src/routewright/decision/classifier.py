"""What kind of work a request is: `Features` → `Verdict`. One interface, and the classifier that needs no training.

`HeuristicClassifier` weighs cues. The shape of the request comes first (a JSON Schema says more than any word), then
the words of the task in four families. A strong command alone ("translate …") is just enough to be believed; cues that
agree raise the confidence and cues of another family lower it, so that what is unclear falls below the policy's
threshold and is done by the standard tier.
"""

from typing import Protocol

from routewright.catalog.registry import Tier
from routewright.decision.expectation import Forecast
from routewright.decision.features import Features, Script
from routewright.decision.words import (
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
from routewright.route import Verdict

STRUCTURED, REASONING, ROUTINE, PLAIN, CHORE, TECHNICAL = Family
FAMILIES = len(Family)

ENOUGH = 3
"""The score from which a family is taken for the kind of work: one strong command, or two cues that agree."""

CONFIDENCE_BY_SCORE = (0.5, 0.55, 0.62, 0.76, 0.82, 0.87, 0.9, 0.92, 0.94, 0.95)
CONFLICT_PENALTY = 0.04
"""Taken from the confidence for each point of the strongest other family beyond the first."""

MOST_TECHNICAL = 2
EDGE_WORDS = 12
"""Where a command stands: among the first or the last words."""
LONG_INPUT_CHARS = 24_000
"""About 6,000 tokens in one turn: holding them together is work in itself."""
LONG_TASK_WORDS = 120
MANY_LIST_ITEMS = 5
MANY_QUESTIONS = 3
CHORE_WORDS = 25
"""A longer instruction to an agent is more than a chore."""
DEFINITION_WORDS = 9
"""A question this short *about* a hard subject asks for a definition."""
LABEL_TOKENS = 16
"""An answer this short is a label."""
STEM_EDGE_CHARS = 160
MOST_SIGNALS = 8

_EXTRACTION_TOOLS = ("extract", "record", "classify", "save", "submit", "output", "respond", "answer", "return", "emit")
_TIER_NAMES = {
    STRUCTURED: "a fixed form of answer",
    REASONING: "reasoning",
    ROUTINE: "routine work",
    PLAIN: "ordinary help",
}


class Classifier(Protocol):
    """Says what kind of work a request is."""

    @property
    def name(self) -> str:
        """Name and version, e.g. `heuristic@1`; a change that may change a verdict changes it."""
        ...

    def classify(self, features: Features) -> Verdict:
        """The tier that suits the request, and how sure that is."""
        ...


class Forecasting(Classifier, Protocol):
    """A classifier that also knows what to expect of each model."""

    def consider(self, features: Features) -> tuple[Verdict, Forecast]:
        """The tier that suits the request, and what to expect of each model for it."""
        ...


class HeuristicClassifier:
    """Shape and words, weighed by hand. Needs no training, no download and some ten microseconds."""

    name = "heuristic@1"

    def classify(self, features: Features) -> Verdict:
        """The tier that suits the request, and how sure that is."""
        evidence = _Evidence()
        words = features.words
        evidence.read(words, features.script)
        if not evidence.signals and features.earlier_task:
            evidence.read(features.earlier_words, features.script)
        scores = evidence.scores(features, words)
        _add_shape(scores, features, evidence.signals)
        tier, confidence, reason = _decide(scores)
        return Verdict(
            tier=tier,
            confidence=confidence,
            reason=reason,
            signals=tuple(evidence.signals[:MOST_SIGNALS]),
            classifier=self.name,
        )


class _Evidence:
    """What was found in the words: weights by family, apart for commands, subjects and phrases."""

    __slots__ = ("commands", "leading", "phrases", "signals", "subjects", "transforms", "unique")

    def __init__(self) -> None:
        self.commands = [0] * FAMILIES
        self.subjects = [0] * FAMILIES
        self.phrases = [0] * FAMILIES
        self.signals: list[str] = []
        self.unique: dict[str, None] = {}
        self.leading = ""
        """The word that says what to do, when the request starts with one."""
        self.transforms = False
        """Something that comes with the request is to be changed or sorted, whatever it is about."""

    def read(self, words: tuple[str, ...], script: Script) -> None:
        """Look every word up, and in text without blanks between words every stem of its script."""
        self.leading = leading = _first_word(words)
        self.unique = unique = dict.fromkeys(words)
        edges = unique if len(words) <= 2 * EDGE_WORDS else {*words[:EDGE_WORDS], *words[-EDGE_WORDS:]}
        text = ""
        for word in filter(LEXICON.__contains__, unique):
            family, as_leading, at_edge, inside, phrases = LEXICON[word]
            if as_leading != inside and word == leading:
                self._note_command(word, family, as_leading)
            elif at_edge != inside and word in edges:
                self._note_command(word, family, at_edge)
            elif inside:
                self.subjects[family] += inside
                self.signals.append(f"word:{word}")
            if not phrases:
                continue
            for other in filter(unique.__contains__, phrases):
                text = text or _joined(words)
                for phrase in phrases[other]:
                    if phrase.text in text:
                        self.phrases[phrase.family] += phrase.weight
                        self.signals.append(f"phrase:{phrase.text.strip()}")
        if script in STEMS:
            self._read_stems(text or _joined(words), script)

    def _note_command(self, word: str, family: Family, weight: int) -> None:
        self.commands[family] += weight
        self.signals.append(f"command:{word}")
        if family in (STRUCTURED, ROUTINE) and (weight > ENOUGH or (weight == ENOUGH and word != self.leading)):
            self.transforms = True

    def _read_stems(self, text: str, script: Script) -> None:
        if len(text) > 2 * STEM_EDGE_CHARS:
            text = text[:STEM_EDGE_CHARS] + text[-STEM_EDGE_CHARS:]
        by_character = STEMS[script]
        for character in dict.fromkeys(filter(by_character.__contains__, text)):
            for stem in by_character[character]:
                if stem.text in text:
                    self.commands[stem.family] += stem.weight
                    self.signals.append(f"stem:{stem.text}")

    def scores(self, features: Features, words: tuple[str, ...]) -> list[int]:
        """One number per family, after asking whether the words are the work or only what the work is about."""
        is_question = self.leading in ASKING_ABOUT
        is_about_code = not self.unique.keys().isdisjoint(TRANSFORMED_CODE)
        plain = self.commands[PLAIN] + self.subjects[PLAIN] + self.phrases[PLAIN]
        structured, demand = self.commands[STRUCTURED] + self.subjects[STRUCTURED], self.phrases[STRUCTURED]
        if is_about_code and not demand:
            structured //= 2
        if self.commands[PLAIN] and not self.unique.keys().isdisjoint(PROGRAMS):
            structured, demand = structured // 2, demand // 2
        routine = self._routine(words, is_question, is_about_code, has_tools=features.tools > 0)
        if is_question or plain > ENOUGH:
            structured, routine = structured // 2, routine // 2
        return [structured + demand, self._reasoning(words, is_question), routine, plain]

    def _routine(self, words: tuple[str, ...], is_question: bool, is_about_code: bool, *, has_tools: bool) -> int:
        routine = self.commands[ROUTINE] + self.subjects[ROUTINE] + self.phrases[ROUTINE]
        entry = None if is_question else LEXICON.get(self.leading)
        if entry is None and not self.commands[ROUTINE] and len(words) > DEFINITION_WORDS:
            routine //= 2  # words of routine, but nothing that asks for it
        if entry is not None and entry.family is ROUTINE:
            if is_about_code and self.leading in PORTED:
                routine -= 2
            elif not GIVEN.isdisjoint(words[1:5]):
                routine += 1
        if has_tools and len(words) <= CHORE_WORDS:
            routine += self.commands[CHORE]
        return routine

    def _reasoning(self, words: tuple[str, ...], is_question: bool) -> int:
        commands, topic = self.commands[REASONING], self.subjects[REASONING]
        technical = min(self.subjects[TECHNICAL], MOST_TECHNICAL)
        topic += technical
        if technical == MOST_TECHNICAL and words and words[0] in NARRATIVE:
            topic += 1
        if self.transforms:
            topic = (topic + self.phrases[REASONING]) // 3  # "translate this proof" is no proof
            if self.leading in LEXICON and LEXICON[self.leading].leading > ENOUGH:
                return min(topic + commands // 3, ENOUGH - 1)
            return min(topic, ENOUGH - 1) + commands
        if self.commands[PLAIN] >= 2:
            topic, commands = topic // 2, commands // 2  # "write a blog post about debugging" needs none
        if is_question and len(words) <= DEFINITION_WORDS:
            topic -= 2
        return topic + commands + self.phrases[REASONING]


def _joined(words: tuple[str, ...]) -> str:
    return f" {' '.join(words)} "


def _first_word(words: tuple[str, ...]) -> str:
    for word in words[:6]:
        if word not in PRELUDE:
            return word
    return ""


def _add_shape(scores: list[int], features: Features, signals: list[str]) -> None:
    """What the request says without words."""
    for family, points, signal in _shape_cues(features):
        scores[family] += points
        signals.insert(0, f"shape:{signal}")
    if features.formulas:
        scores[REASONING] += min(features.formulas, ENOUGH)
        signals.append("notation:formulas")
    if features.has_code and scores[REASONING] > 0:
        scores[REASONING] += 1
        signals.append("pasted:code")


def _shape_cues(features: Features) -> list[tuple[Family, int, str]]:
    cues: list[tuple[Family, int, str]] = []
    if features.output_format.kind == "json_schema":
        cues.append((STRUCTURED, 6, "json_schema"))
    elif features.output_format.kind == "json_object":
        cues.append((STRUCTURED, 4, "json_object"))
    if features.forced_tool is not None:
        cues.append((STRUCTURED, 5, "forced tool"))
    elif features.only_tool is not None and features.only_tool.lower().startswith(_EXTRACTION_TOOLS):
        cues.append((STRUCTURED, 3, "extraction tool"))
    if features.user_chars > LONG_INPUT_CHARS:
        cues.append((REASONING, 3, "long input"))
    if features.word_count > LONG_TASK_WORDS:
        cues.append((REASONING, 1, "long task"))
    if features.list_items >= MANY_LIST_ITEMS:
        cues.append((REASONING, 1, "many points"))
    if features.question_marks >= MANY_QUESTIONS:
        cues.append((REASONING, 1, "many questions"))
    if features.reasoning_effort in ("high", "xhigh", "max"):
        cues.append((REASONING, 2, "reasoning effort"))
    if features.max_output_tokens is not None and features.max_output_tokens <= LABEL_TOKENS:
        cues.append((STRUCTURED, 2, "short answer"))
    if features.images:
        cues.append((PLAIN, 1, "images"))
    return cues


def _decide(scores: list[int]) -> tuple[Tier, float, str]:
    """Structured unless it takes reasoning, then reasoning, then routine; ordinary help when nothing is strong."""
    structured, reasoning, routine, plain = scores
    if structured >= ENOUGH and structured > plain and (reasoning < ENOUGH or structured > reasoning + 1):
        return _verdict(Tier.STRUCTURED, STRUCTURED, scores)
    if reasoning >= ENOUGH:
        return _verdict(Tier.COMPLEX, REASONING, scores)
    if routine >= ENOUGH and routine >= plain:
        return _verdict(Tier.BULK, ROUTINE, scores)
    return _decide_weak(scores)


def _verdict(tier: Tier, family: Family, scores: list[int]) -> tuple[Tier, float, str]:
    structured, reasoning, routine, plain = scores
    rival = max(
        0 if family is STRUCTURED else structured,
        0 if family is REASONING else reasoning,
        0 if family is ROUTINE else routine,
        plain // 2,
    )
    confidence = CONFIDENCE_BY_SCORE[min(scores[family], len(CONFIDENCE_BY_SCORE) - 1)]
    if rival > 1:
        confidence -= CONFLICT_PENALTY * (rival - 1)
    return tier, round(max(confidence, 0.3), 2), f"asks for {_TIER_NAMES[family]}"


def _decide_weak(scores: list[int]) -> tuple[Tier, float, str]:
    """No family but ordinary help is strong enough: how near was another?"""
    nearest = max(scores[STRUCTURED], scores[REASONING], scores[ROUTINE])
    plain = scores[PLAIN]
    if plain == 0 and nearest <= 0:
        return Tier.STANDARD, 0.65, "nothing typical found"
    confidence = CONFIDENCE_BY_SCORE[min(plain + 2, len(CONFIDENCE_BY_SCORE) - 1)] - 0.05 * max(nearest, 0)
    return Tier.STANDARD, round(max(confidence, 0.5), 2), "asks for ordinary help"
