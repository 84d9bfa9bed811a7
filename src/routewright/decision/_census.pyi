def count_classes(data: bytes) -> tuple[int, int, int, int, int]:
    """As `census.plain_classes` says."""

def count_words(data: bytes) -> int:
    """As `census.plain_words` says."""

def may_hold_pasted(data: bytes) -> bool:
    """As `census.plain_may_hold_pasted` says."""
