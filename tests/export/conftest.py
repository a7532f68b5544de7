"""The files that the tests of the exports look at."""

from __future__ import annotations

import pytest

from tests.export.make import Exported, exported_student


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported_student(tmp_path_factory.getbasetemp())
