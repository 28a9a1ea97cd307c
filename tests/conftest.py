"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data that stands beside the checkout; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("reference data ../shared is not there")
    return SHARED
