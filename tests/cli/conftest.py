# SPDX-License-Identifier: Apache-2.0
import os
import pathlib

import pytest

from fake_daemon import Drover, FakeDaemon

REPO = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def daemon(tmp_path):
    with FakeDaemon(str(tmp_path)).serving() as fake:
        yield fake


@pytest.fixture
def drover(daemon):
    program = pathlib.Path(os.environ.get("DROVER_BIN", REPO / "build/release/bin")) / "drover"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    return Drover(program, daemon)
