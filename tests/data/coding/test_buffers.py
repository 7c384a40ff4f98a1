from __future__ import annotations

import numpy as np
import pytest

from penstock.data.coding.buffers import distinct


@pytest.mark.parametrize("numbers", [[], [0], [5, 0, 5, 7], [1 << 40, 3, 1 << 40]])
@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_distinct_numbers_and_their_places_give_the_numbers(numbers, kind):
    known, places = distinct(np.array(numbers, kind))
    assert list(known) == sorted(set(numbers))
    assert [int(number) for number in known[places]] == numbers
