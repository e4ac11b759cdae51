"""Qt runs without a display unless the caller asks for one, and no test sees or writes the user's own files."""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch loads: waiting threads must not spin
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker a core


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings, log, recent files and safety copies of the whole run go into a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCENEBRUSH_HOME", str(tmp_path_factory.mktemp("home")))
        yield
