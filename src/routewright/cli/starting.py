"""What runs first: it says in two lines that this Python, or what is installed in it, cannot run the rest.

So it is written in words that any Python 3 reads, and imports nothing that such a Python could not.
"""

import sys

OLDEST_PYTHON = (3, 11)
EX_CONFIG = 78
EXTRAS = {"numpy": ("evidence", "to weigh recorded outcomes")}
"""Module of an extra that is imported where it is needed → the extra, and for what."""


def main() -> None:
    """Run the program with the arguments of this process, if that is possible here."""
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        _end(
            f"error[E154]: routewright needs Python {oldest} or newer; this is {sys.version.split()[0]}",
            "install it into a newer one, e.g. `uv tool install --python 3.12 routewright`",
        )
    try:
        from routewright.cli.program import main as run

        run()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "routewright"):  # a bug of ours, which keeps its traceback
            raise
        if missing in EXTRAS:
            extra, purpose = EXTRAS[missing]
            _end(
                f"error[E155]: {missing} is needed {purpose}, and is not installed",
                f"run: {sys.executable} -m pip install 'routewright[{extra}]'",
            )
        _end(
            f"error[E155]: this installation is not whole: the module {missing} is missing",
            f"run: {sys.executable} -m pip install --force-reinstall routewright",
        )


def _end(what: str, hint: str) -> None:
    sys.stderr.write(f"{what}\nhint: {hint}\n")
    sys.exit(EX_CONFIG)
