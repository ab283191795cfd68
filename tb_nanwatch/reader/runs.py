"""Which run the tab shows for what TensorBoard calls a run: the only owner of this mapping.

A Callback or Watcher writes into ``<log_dir>/nanwatch``, or ``<log_dir>/nanwatch/<worker>`` where
there are several. TensorBoard takes each directory with event files for a run of its own; people
look for their training under ``<log_dir>``. ``nanwatch.summary`` writes where the user's writer
writes, and its run keeps its name, even where the user calls a directory "nanwatch".

Where several trainings wrote to one directory, the first has its name, and the others a number.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from itertools import count

from tb_nanwatch.format.tags import SUBDIRECTORY, Stream

ROOT = "."
"""TensorBoard's name of the run in the log directory itself."""


def shown_run(run: str, stream: Stream) -> str:
    """The name under which the tab shows this stream of TensorBoard's `run`.

    >>> shown_run("exp/nanwatch", Stream("0a"))
    'exp'
    >>> shown_run("nanwatch/worker1", Stream("0a"))
    '.'
    >>> shown_run("nanwatch/nanwatch", Stream("0a"))
    'nanwatch'
    >>> shown_run("exp/nanwatch", Stream("0a", "gradient", "w"))
    'exp/nanwatch'
    >>> shown_run("exp/.", Stream("0a", "gradient", "w"))
    'exp'

    A watcher's run that lies in no such subdirectory (``--logdir`` points into it, or the files
    were moved) keeps its name too.
    """
    # As TensorBoard calls a directory itself that has a name by `--logdir_spec`.
    run = run.removesuffix("/.")
    if not stream.is_watcher:
        return run
    parent, name = os.path.split(run)
    if name == SUBDIRECTORY:
        return parent or ROOT
    grandparent, name = os.path.split(parent)
    if name == SUBDIRECTORY:
        return grandparent or ROOT
    return run


def training_names(directory: str, taken: Container[str]) -> Iterator[str]:
    """The names of the trainings of a directory, without end.

    >>> names = training_names("exp", {"exp", "exp/2"})
    >>> next(names), next(names), next(names)
    ('exp', 'exp/2#', 'exp/3')

    Args:
      directory: as it is shown.
      taken: the names of all directories.
    """
    yield directory
    for number in count(2):
        name = f"{directory}/{number}"
        while name in taken:
            name += "#"
        yield name


def directory_of(run: str, directories: Container[str]) -> str | None:
    """The directory that a run of this name can only be of; None where there is none.

    >>> directory_of("exp/2", {"exp"}), directory_of("exp", {"exp"}), directory_of("x/2", {"exp"})
    ('exp', 'exp', None)
    """
    if run in directories:
        return run
    parent, _, _ = run.rpartition("/")
    return parent if parent in directories else None
