"""Named policies: what they change, their versions in the ledger, and who gets which."""
