"""Tables of recorded outcomes as `eval` and `calibrate` read them: parquet or JSON lines, one row a prompt.

A row has `prompt`, or `sketch` and `kinds` as `routewright ledger outcomes` writes them, and for each model
`s:MODEL` (score, 0 to 1; missing or nan when not recorded) and `c:MODEL` (USD). `split` (`train`, `dev`) says what is
learned from; without it, a hash of the prompt does.
"""

import hashlib
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from routewright.cli.failures import BadTable
from routewright.decision.appraisal import Known, Prompt
from routewright.decision.evaluation import IntArray
from routewright.decision.odds import FloatArray
from routewright.route import KindShare

SUFFIXES = (".parquet", ".jsonl")
TRAIN_SHARE = 0.7
"""Of the prompts, where the table does not say what is to be learned from."""
MOST_BYTES = 2 * 1024**3
"""A larger file is refused: a table is held in memory."""
LAYOUT = "docs/cli.md, `routewright eval`, has the columns"

PAIRS: Mapping[str, tuple[str, str]] = {
    "routellm_mmlu": ("Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"),
    "mmlu_pro": ("Meta-Llama-3.1-8B-Instruct", "gemini-1.5-pro-002"),
    "routerbench_arc_challenge": ("mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview"),
    "routerbench_winogrande": ("mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview"),
    "routerbench_mbpp": ("mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview"),
    "zeroeval_crux": ("claude-3-haiku-20240307", "claude-3-5-sonnet-20241022"),
    "zeroeval_math_l5": ("claude-3-haiku-20240307", "claude-3-5-sonnet-20241022"),
    "ulab_mixed": ("mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"),
}
"""Tables of public benchmarks that are well known, with the pair that is usually compared on them."""

_lines = msgspec.json.Decoder(dict[str, Any])


class Table(Struct, frozen=True, eq=False, kw_only=True):
    """Outcomes of some models on some prompts."""

    name: str
    prompts: tuple[Prompt, ...]
    is_train: tuple[bool, ...]
    models: tuple[str, ...]
    """At least two."""
    scores: FloatArray
    """[n, m], nan where nothing is recorded."""
    costs: FloatArray
    """[n, m], USD, nan likewise."""

    @property
    def train(self) -> IntArray:
        """Rows to learn from."""
        return np.flatnonzero(self.is_train)

    @property
    def dev(self) -> IntArray:
        """Rows to measure on."""
        return np.flatnonzero(~np.array(self.is_train))

    def texts(self, rows: IntArray) -> tuple[str, ...] | None:
        """The prompts as texts; None when some are known by a sketch only."""
        prompts = [self.prompts[row] for row in rows.tolist()]
        texts = tuple(prompt for prompt in prompts if isinstance(prompt, str))
        return texts if len(texts) == len(prompts) else None

    def column(self, model: str) -> int:
        """Where a model stands. Raises BadTable for one that the table does not have."""
        if model not in self.models:
            raise BadTable(
                f"{self.name} has no outcomes of {model!r}", hint=f"it has those of {', '.join(self.models)}"
            )
        return self.models.index(model)

    def pair(self, named: tuple[str, str] | None = None) -> tuple[str, str]:
        """Weak and strong: as named, or as usual for the table, or the cheapest and the one of the best mean score."""
        named = named or PAIRS.get(self.name)
        if named is not None:
            for model in named:
                self.column(model)
            return named
        means = _means(self.scores)
        best = int(np.nanargmax(means))
        costs = _means(self.costs)
        order = np.argsort(np.where(np.isnan(costs), means, costs), kind="stable").tolist()
        return self.models[next(at for at in order if at != best)], self.models[best]

    def only(self, models: Sequence[str]) -> "Table":
        """The same prompts with these models only."""
        columns = [self.column(model) for model in models]
        return Table(
            name=self.name,
            prompts=self.prompts,
            is_train=self.is_train,
            models=tuple(models),
            scores=self.scores[:, columns],
            costs=self.costs[:, columns],
        )


def _means(values: FloatArray) -> FloatArray:
    """[m]: the mean of what is known; nan where nothing is."""
    is_known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(is_known, values, 0).sum(axis=0) / is_known.sum(axis=0))


def read_tables(path: Path) -> list[Table]:
    """The table of a file, or those of all parquet and JSON lines files of a folder, by name. Raises BadTable."""
    if not path.is_dir():
        return [_read(path)]
    found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
    if not found:
        raise BadTable(f"{path} has no {' or '.join(SUFFIXES)} file", hint=LAYOUT)
    return [_read(each) for each in found]


def _read(path: Path) -> Table:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadTable(f"{path} has more than {MOST_BYTES // 1024**3} GiB", hint="take a part of its rows")
        records = _parquet(path) if path.suffix == ".parquet" else _lines.decode_lines(path.read_bytes())
    except OSError as error:
        raise BadTable(f"{path} cannot be read: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise BadTable(f"{path} is not JSON lines: {error}", hint=LAYOUT) from error
    return table_of(path.stem, records)


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise BadTable(f"{path} is parquet, which needs pyarrow", hint="pip install 'routewright[data]'") from error
    try:
        records: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise BadTable(f"{path} is not parquet: {error}") from error
    return records


def table_of(name: str, records: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as a table. Raises BadTable when they do not make one."""
    if not records:
        raise BadTable(f"{name} is empty", hint=LAYOUT)
    models = list(
        dict.fromkeys(key[2:] for record in records for key in filter(_is_score, record) if _is_there(record[key]))
    )
    if len(models) < 2:
        told = f"only of {models[0]!r}" if models else "of no model"
        raise BadTable(f"{name} has scores {told}; routing needs two or more", hint=f"columns s:MODEL; {LAYOUT}")
    prompts = tuple(_prompt(name, number, record) for number, record in enumerate(records, 1))
    is_train = tuple(map(_is_train, records, prompts))
    if all(is_train) or not any(is_train):
        missing = "to measure on (split = dev)" if all(is_train) else "to learn from (split = train)"
        raise BadTable(f"{name} has no rows {missing}", hint="leave `split` out, and a hash of the prompt decides")
    scores = _columns(name, records, "s:", models)
    if np.nanmax(scores, initial=0) > 1 or np.nanmin(scores, initial=0) < 0:
        raise BadTable(f"{name} has scores outside 0 to 1", hint="divide them by the best that can be reached")
    costs = _columns(name, records, "c:", models)
    if np.nanmin(costs, initial=0) < 0:
        raise BadTable(f"{name} has costs below 0", hint="costs are USD for one call")
    return Table(name=name, prompts=prompts, is_train=is_train, models=tuple(models), scores=scores, costs=costs)


def _is_score(key: str) -> bool:
    return key.startswith("s:")


def _is_there(value: object) -> bool:
    return value is not None and value == value  # nan is not equal to itself


def _prompt(name: str, number: int, record: Mapping[str, Any]) -> Prompt:
    prompt, kinds, sketch = record.get("prompt"), record.get("kinds"), record.get("sketch")
    if isinstance(prompt, str):
        return prompt
    if isinstance(kinds, dict) and kinds and isinstance(sketch, str):
        try:
            shares = tuple(KindShare(str(kind), float(share)) for kind, share in kinds.items())
            return Known(shares, b64decode(sketch, validate=True))
        except (NotBase64, TypeError, ValueError) as error:
            raise BadTable(f"row {number} of {name}: kinds or sketch cannot be read: {error}", hint=LAYOUT) from error
    raise BadTable(f"row {number} of {name} has neither a prompt nor kinds and sketch", hint=LAYOUT)


def _is_train(record: Mapping[str, Any], prompt: Prompt) -> bool:
    if record.get("split") is not None:
        return str(record["split"]) == "train"
    content = prompt if isinstance(prompt, str) else f"{prompt.kinds}{prompt.sketch!r}"
    digest = hashlib.sha256(" ".join(content.lower().split()).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:4]) < TRAIN_SHARE * 2**32


def _columns(name: str, records: Iterable[Mapping[str, Any]], prefix: str, models: Sequence[str]) -> FloatArray:
    keys = [prefix + model for model in models]
    try:
        rows = [[np.nan if (value := record.get(key)) is None else float(value) for key in keys] for record in records]
    except (TypeError, ValueError) as error:
        raise BadTable(f"{name}: a column {prefix}MODEL has something else than numbers: {error}") from error
    return np.array(rows, np.float64)
