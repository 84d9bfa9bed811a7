"""The command line: one module per verb, imported when the verb is used."""

from routewright.cli.program import main

__all__ = ["main"]
