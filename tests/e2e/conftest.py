import pytest

from ratchet_process import Ratchet


@pytest.fixture
def ratchet(tmp_path):
    """A fresh Ratchet, stopped at the end whatever happened."""
    process = Ratchet(tmp_path).start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def shared_ratchet(tmp_path_factory):
    """One Ratchet for all tests of a file, for those that leave nothing behind that others mind."""
    process = Ratchet(tmp_path_factory.mktemp("shared")).start()
    yield process
    process.stop()
