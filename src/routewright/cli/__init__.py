"""The command line: one module per verb, imported when the verb is used."""

from routewright.cli.starting import main

__all__ = ["main"]
