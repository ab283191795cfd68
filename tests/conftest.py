"""What several tests share: synthetic logs, and real TensorBoard processes to serve them."""

from __future__ import annotations

import gc
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))

with warnings.catch_warnings():
    # What TensorBoard vendors warns of itself when it is first imported.
    warnings.filterwarnings("ignore", "html5lib's sanitizer is deprecated", DeprecationWarning)
    importlib.import_module("tensorboard.plugin_util")
# A command that is called in a process without TensorFlow leaves it without `tf.summary`. With
# another version of protobuf there is none.
with suppress(Exception):
    importlib.import_module("tensorflow")

# A busy machine is no reason for a property to fail.
hypothesis.settings.register_profile("nanwatch", deadline=None)
hypothesis.settings.load_profile("nanwatch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-combination",
        action="store_true",
        help="run the matrices as a whole, which takes an hour, and not a part of each",
    )


@pytest.fixture(autouse=True, scope="module")
def garbage_of_its_own() -> Iterator[None]:
    """TensorFlow keeps objects of each function that was ever traced, millions in a worker.

    Left to the collector, they would be looked through again and again, for half a minute each.
    """
    gc.set_threshold(20_000, 20, 20)
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log directory with every run of `synthetic_logs.GALLERY`; not to be written to."""
    from synthetic_logs import write_gallery

    return write_gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def entry_point(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on PYTHONPATH, tells TensorBoard of the plugin, installed or not."""
    from server import write_entry_point

    return write_entry_point(tmp_path_factory.mktemp("entry_point"))


@pytest.fixture(scope="session")
def tensorboard(entry_point: Path) -> Callable[..., object]:
    """Starts TensorBoard: `with tensorboard(logs, "--load_fast=false") as url:`.

    The URL ends in a slash. `server.serve` has the options.
    """

    from server import serve

    @contextmanager
    def start(logs: str | Path, *flags: str, **options: Any) -> Iterator[str]:
        with serve(logs, entry_point, *flags, **options) as server:
            yield server.url

    return start
