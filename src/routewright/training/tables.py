"""Recorded outcomes of real models on real prompts, read from parquet or JSON lines.

One row a prompt: `prompt`, `dataset`, `domain`, perhaps `split`; and for each model `s:MODEL` (quality, 0 to 1, nan
when not recorded), `c:MODEL` (USD), `o:MODEL` (output tokens).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from routewright.errors import ArtefactError

SUBJECTS = {
    "school_maths": "elementary_mathematics high_school_mathematics high_school_statistics",
    "college_maths": "abstract_algebra college_mathematics formal_logic econometrics",
    "school_science": "high_school_physics conceptual_physics high_school_chemistry high_school_biology astronomy "
    "openbook_qa arc_challenge science-mcq",
    "college_science": "college_physics college_chemistry college_biology electrical_engineering medical_genetics "
    "virology anatomy",
    "medicine": "professional_medicine college_medicine clinical_knowledge",
    "health": "nutrition human_aging human_sexuality",
    "law": "professional_law international_law jurisprudence",
    "economics": "high_school_macroeconomics high_school_microeconomics",
    "business": "professional_accounting marketing management business_ethics public_relations",
    "psychology": "professional_psychology high_school_psychology sociology",
    "politics": "security_studies us_foreign_policy high_school_government_and_politics high_school_geography "
    "global_facts",
    "history": "prehistory high_school_european_history high_school_us_history high_school_world_history",
    "ethics": "philosophy moral_disputes logical_fallacies world_religions",
    "moral_scenarios": "moral_scenarios",
    "computing": "college_computer_science high_school_computer_science computer_security machine_learning",
    "miscellany": "miscellaneous",
    "trivia": "trivia_qa",
    "search_question": "natural_qa",
    "commonsense": "commonsense_qa commonsense",
    "graduate_science": "gpqa",
    "maths_problem": "competition-math",
    "code_output": "code-reasoning",
    "logic_puzzle": "agentverse-logicgrid",
    "everyday_code": "mbpp code-generation",
}
"""Kind of work → the names of `domain` that are such work. The wide mix called `mmlu` in one table is none."""

KIND_OF = {subject: kind for kind, subjects in SUBJECTS.items() for subject in subjects.split()}
NOT_FREE = frozenset(("arc_challenge", "natural_qa", "openbook_qa", "trivia_qa"))
"""Domains of a mixed table whose own licence asks for the same licence of what is made of it, or is not known: nothing
is learned from their rows."""
HARDER = {"mmlu_pro": "hard_"}
"""Data sets whose questions, by the same names, are of another difficulty, and what their kinds are called."""


def kind_of(dataset: str, domain: str) -> str | None:
    """The kind of work that the prompts of a domain are; None when that is not told."""
    if dataset in HARDER:
        return HARDER[dataset] + domain.replace(" ", "_")
    if dataset == "ulab_math":
        return "maths_problem"
    return KIND_OF.get(domain)


_LAYOUT = "a row is prompt, dataset, domain, and s:MODEL (0 to 1), c:MODEL (USD), o:MODEL (tokens) for each model"
_lines = msgspec.json.Decoder(dict[str, Any])


class Row(Struct, frozen=True, kw_only=True):
    """One prompt with what is known of it."""

    prompt: str
    table: str
    kind: str | None
    """None when its kind of work is not told."""
    split: str
    scores: dict[str, float]
    costs: dict[str, float]
    """USD."""
    output_tokens: dict[str, float]


def read_tables(paths: list[Path]) -> list[Row]:
    """Every row of these files that may be learned from. Raises ArtefactError for a file that is no table."""
    return [row for path in paths for row in _read(path)]


def _read(path: Path) -> Iterator[Row]:
    for record in _records(path):
        if not isinstance(record.get("prompt"), str):
            raise ArtefactError(f"{path}: a row has no prompt", hint=_LAYOUT)
        if record.get("domain") in NOT_FREE:
            continue
        try:
            yield Row(
                prompt=record["prompt"],
                table=path.stem,
                kind=kind_of(str(record.get("dataset")), str(record.get("domain"))),
                split=str(record.get("split") or "train"),
                scores=_columns(record, "s:"),
                costs=_columns(record, "c:"),
                output_tokens=_columns(record, "o:"),
            )
        except (TypeError, ValueError) as error:
            raise ArtefactError(f"{path}: a row has a figure that is no number: {error}", hint=_LAYOUT) from error


def _records(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.suffix != ".parquet":
            yield from _lines.decode_lines(path.read_bytes())
            return
        import pyarrow.parquet

        yield from pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, ValueError, msgspec.DecodeError) as error:  # a ValueError is how pyarrow says "no parquet"
        raise ArtefactError(f"{path} cannot be read as a table: {error}", hint=_LAYOUT) from error
    except ImportError as error:
        raise ArtefactError(f"{path} is parquet", hint="pip install 'routewright[data]'") from error


def _columns(record: dict[str, Any], prefix: str) -> dict[str, float]:
    return {
        name[len(prefix) :]: float(value)
        for name, value in record.items()
        if name.startswith(prefix) and value is not None and value == value  # nan is not equal to itself
    }
