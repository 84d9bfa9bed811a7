"""The dashboard: what the ledger and the engine know, as pages. It knows no HTTP: `gateway.ui` serves what it makes.

A page is a function from a `Desk` (what there is to look at, as of one moment) and `Parameters` (what the address asks)
to a `View`: a template with its values, and its tables, which are also what the page's JSON and CSV say.
"""
