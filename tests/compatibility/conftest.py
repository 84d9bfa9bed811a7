"""What the suite asserts is told as pytest tells it."""

import pytest

pytest.register_assert_rewrite("compatibility.desk", "compatibility.scenarios")
