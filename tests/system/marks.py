# SPDX-License-Identifier: Apache-2.0
"""What `./test` leaves to `./test --all`."""
import pytest

from product import ALL

LONG = pytest.mark.skipif(not ALL, reason="slow: DROVER_TEST_ALL=1")
