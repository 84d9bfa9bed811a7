"""What may be said of an answer beside its score: bounded, and no content where none is kept."""

from routewright.errors import InvalidRequest

LONGEST_COMMENT = 4_000
"""Characters."""
LONGEST_CORRECTION = 65_536
"""Characters of what should have been answered."""


def check_remarks(comment: str, correction: str, *, keeps_content: bool) -> None:
    """Raises InvalidRequest, naming the one that is too long, or the correction where no content is kept."""
    for name, remark, longest in (
        ("comment", comment, LONGEST_COMMENT),
        ("correction", correction, LONGEST_CORRECTION),
    ):
        if len(remark) > longest:
            raise InvalidRequest(
                f"{name} has {len(remark):,} characters", param=name, hint=f"the longest has {longest:,}"
            )
    if correction and not keeps_content:
        raise InvalidRequest(
            "correction is content, which is not kept here",
            param="correction",
            hint="leave it out, or have the operator set ledger.log_content = true",
        )
