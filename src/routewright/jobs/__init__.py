"""Batches: many calls handled offline, each answered once. See docs/decisions/0034-batches.md."""
