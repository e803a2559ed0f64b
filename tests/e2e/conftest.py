"""Fixtures of this level: the whole stack, once for the tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from tests.support.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A `qjet up` that tests may use but not break."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
