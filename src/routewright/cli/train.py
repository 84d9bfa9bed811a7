"""`routewright train`: an artefact from tables of recorded outcomes and from written prompts."""

from collections.abc import Iterable
from pathlib import Path

import click

from routewright.cli.options import json_option
from routewright.cli.screen import print_json
from routewright.errors import ArtefactError

PAIRS = {
    "routellm_mmlu": ("Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"),
    "mmlu_pro": ("Meta-Llama-3.1-8B-Instruct", "gemini-1.5-pro-002"),
    "zeroeval_crux": ("claude-3-haiku-20240307", "claude-3-5-sonnet-20241022"),
    "zeroeval_math_l5": ("claude-3-haiku-20240307", "claude-3-5-sonnet-20241022"),
    "ulab_mixed": ("mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"),
}
"""Table → the weak and the strong model that the need of strength is learned from."""

LICENCES = {
    "routellm_mmlu": "RouteLLM Apache-2.0, MMLU MIT",
    "mmlu_pro": "MMLU-Pro Apache-2.0 and MIT",
    "zeroeval_crux": "ZeroEval Apache-2.0, CRUXEval MIT",
    "zeroeval_math_l5": "ZeroEval Apache-2.0, MATH MIT",
    "ulab_mixed": "LLMRouter MIT; of its data sets those under MIT, Apache-2.0 and CC-BY-4.0 only",
}
"""For the card."""


@click.command("train", short_help="Make the artefact that requests are classified by; for developers.")
@click.argument("tables", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--prompts",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of written prompts; may be given several times.",
)
@click.option("--leave-out", multiple=True, metavar="TABLE", help="Do without this table, to measure what is then new.")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The artefact.")
@json_option
def command(
    tables: tuple[Path, ...], prompts: tuple[Path, ...], leave_out: tuple[str, ...], output: Path, as_json: bool
) -> None:
    """Make the artefact that requests are classified by; for developers.

    TABLES are files of recorded outcomes, parquet or JSON lines; only rows of the split `train` are used. Needs the
    extras `train` and `data`, and about two minutes. The same input makes the same artefact, but for its date.
    """
    try:
        from routewright.training.fit import fit
    except ImportError as error:
        raise ArtefactError(
            f"training needs {error.name}, which is not installed", hint="pip install 'routewright[train,data]'"
        ) from error
    from routewright.decision.artefact import load
    from routewright.training.prompts import read_prompts
    from routewright.training.tables import read_tables

    if not output.absolute().parent.is_dir():  # told now, not after the training
        raise click.BadParameter(f"there is no directory {output.parent}", param_hint="--output")
    used = [table for table in tables if table.stem not in leave_out]
    rows = [row for row in read_tables(used) if row.split == "train"]
    written = read_prompts(list(prompts))
    counts = {table.stem: sum(row.table == table.stem for row in rows) for table in used}
    sources = {name: f"{count} rows, {LICENCES.get(name, 'licence not recorded')}" for name, count in counts.items()}
    data = fit(
        rows,
        written,
        pairs=PAIRS,
        command=_said(used, prompts),
        data=sources | {"written prompts": f"{len(written)} prompts, Apache-2.0"},
    )
    artefact = load(data)
    try:
        output.write_bytes(data)
    except OSError as error:
        raise ArtefactError(f"{output} cannot be written: {error.strerror}", hint="name another place: -o") from error
    if as_json:
        print_json({"version": artefact.version, "bytes": len(data), "kinds": artefact.kinds, "card": artefact.card})
        return
    click.echo(f"{output}: version {artefact.version}, {len(data):,} bytes, {len(artefact.kinds)} kinds of work")
    for name, figure in artefact.card.measured.items():
        click.echo(f"  {figure:8.4f}  {name}")


def _said(tables: Iterable[Path], prompts: Iterable[Path]) -> str:
    """The command as anyone can give it, wherever the files are."""
    named = [table.name for table in tables] + [f"--prompts {file.name}" for file in prompts]
    return f"routewright train {' '.join(named)}"
