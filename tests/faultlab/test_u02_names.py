"""U02: name servers that are late, and names that are not there, by the resolver of the system itself."""

from pathlib import Path

import pytest
from beats import MOST_S
from names import CONNECT_S, can_be_played, met_by, names_that_fail

pytestmark = pytest.mark.skipif(not can_be_played(), reason="this machine allows no namespaces of one's own")


def test_u02_a_late_name_and_one_that_is_not_there_go_elsewhere_and_hold_nobody_up(tmp_path: Path) -> None:
    met = met_by(names_that_fail, tmp_path)
    assert met["asked"] == ["gone", "here", "late"], "the name server was asked for each"
    assert CONNECT_S <= met["late"] < CONNECT_S + 1, "the limit on connecting has the lookup in it"
    assert met["fell_back"] > 0
    assert met["gone"] < CONNECT_S, "that there is no such name is known at once"
    assert met["others"] == 20, "though more wait for a name than a pool has threads"
    assert met["lag_s"] < MOST_S, "E13"
    assert met["outcomes"] == ["upstream_connect_failed"]
