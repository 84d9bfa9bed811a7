"""The gateway of the suite, and asserts told as pytest tells them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("matrix.desk", "matrix.scenarios")

if TYPE_CHECKING:
    from matrix.desk import Desk


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Desk]":
    """One gateway and one provider for all tests here."""
    from matrix.desk import opened_desk

    with opened_desk(tmp_path_factory.mktemp("home")) as desk:
        yield desk
