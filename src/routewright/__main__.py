"""`python -m routewright` is the command line."""

from routewright.cli import main

main()
