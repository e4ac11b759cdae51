from collections.abc import Iterator

import pytest

from models.grid import block_ids, raster_permutation, strip_permutation
from tests.helpers import one_thread
from tests.training.stages import quick_stages

__all__ = ["one_thread", "quick_stages"]


@pytest.fixture(autouse=True)
def fresh_permutations() -> Iterator[None]:
    """What other tests have kept must not decide about these (tests/models/test_grid.py looks at that itself)."""
    for kept in (strip_permutation, raster_permutation, block_ids):
        kept.cache_clear()
    yield
