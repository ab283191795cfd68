"""The trainings that wrote to one directory: which session goes on with which, and which does not.

A session goes on with an earlier training of the same model if its first step is later than the
first of that training, and if it repeats none of its steps while that one was still writing. So
does a run that was resumed from a checkpoint, or whose open window was lost. Any other session is a
training of its own: a fold of a K-fold, a trial of a tuner, another model, a second process that
writes at the same time. So is a repetition from the first step, because nothing distinguishes it
from a fold.

Several tracks (the workers of a distributed training, the names of `nanwatch.summary`) belong to
one training: the first sessions of each track together, then the second ones. Where one track has
fewer, because a worker never came to its first record, they go by time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tb_nanwatch.format.manifest import Manifest, ModelIdentity
from tb_nanwatch.reader.block_summary import BlockSummary
from tb_nanwatch.reader.contents import Contents, manifest_hash
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.reader.sessions import StreamKey, Track, stream_key, track_of


@dataclass(frozen=True)
class Span:
    """From when to when something was written: wall times of events, in seconds.

    The same in both of TensorBoard's modes and however much it samples away: a manifest is written
    once, with the first record, and the newest event of a tag is always there.
    """

    began: float
    ended: float

    def overlaps(self, other: Span) -> bool:
        """Whether something of one was written between two events of the other."""
        return self.began < other.ended and other.began < self.ended


def span(entries: Iterable[Entry]) -> Span:
    """When a stream, or several, were written; by the wall times of all their tags."""
    times = [(entry.parsed.kind == "manifest", entry.state[1]) for entry in entries]
    # Where there is a manifest, only it has the time at which its stream began.
    began = [time for is_manifest, time in times if is_manifest] or [time for _, time in times]
    return Span(min(began), max(time for _, time in times))


@dataclass(frozen=True)
class _Session:
    """What tells a session from others.

    Attributes:
      key: of its stream.
      span: when it was written.
      model: what it recorded; None where no manifest can be read.
      steps: its earliest and its latest; None where it recorded nothing that can be read.
    """

    key: StreamKey
    span: Span
    model: ModelIdentity | None
    steps: tuple[int, int] | None


@dataclass
class _Chain:
    """Sessions of one track, each of which goes on with those before it."""

    sessions: list[_Session] = field(default_factory=list)
    steps: tuple[int, int] | None = None

    @property
    def span(self) -> Span:
        """Of the newest session."""
        return self.sessions[-1].span

    @property
    def begins_at(self) -> int:
        """The first step; there must be one."""
        assert self.steps is not None
        return self.steps[0]

    def is_continued_by(self, session: _Session) -> bool:
        assert session.steps is not None
        assert self.steps is not None
        begin, (first, last) = session.steps[0], self.steps
        # A clock that was put back only looks like two at a time.
        return begin > last or (begin > first and not session.span.overlaps(self.span))

    def add(self, session: _Session) -> None:
        assert session.steps is not None
        (first, last), (begin, end) = self.steps or session.steps, session.steps
        self.steps = min(first, begin), max(last, end)
        self.sessions.append(session)


def split_trainings(contents: Contents) -> list[tuple[Entry, ...]]:
    """The entries of each training that wrote to a directory, in the order of their beginnings.

    Args:
      contents: of the directory.
    """
    by_stream: dict[StreamKey, list[Entry]] = defaultdict(list)
    for entry in contents.entries:
        by_stream[stream_key(entry)].append(entry)
    if len(by_stream) == 1:
        return [tuple(contents.entries)]
    tracks: dict[Track, list[_Session]] = defaultdict(list)
    for key in sorted(by_stream, key=lambda key: key[1]):  # By session, so by age.
        tracks[track_of(key)].append(_session(key, by_stream[key], contents))
    number = _numbers({track: _chains(tracks[track]) for track in sorted(tracks)})
    trainings: list[list[Entry]] = [[] for _ in range(max(number.values()) + 1)]
    for entry in contents.entries:
        trainings[number[stream_key(entry)]].append(entry)
    return [tuple(training) for training in trainings]


def _session(key: StreamKey, entries: Sequence[Entry], contents: Contents) -> _Session:
    manifests = [
        contents.manifests.get(manifest_hash(entry))
        for entry in entries
        if entry.parsed.kind == "manifest"
    ]
    models = [each.model_identity for each in manifests if isinstance(each, Manifest)]
    return _Session(
        key, span(entries), max(models, default=None), _steps(entries, contents.summaries)
    )


def _steps(
    entries: Iterable[Entry], summaries: Mapping[Entry, BlockSummary | None]
) -> tuple[int, int] | None:
    read = [summary for entry in entries if (summary := summaries.get(entry)) is not None]
    parts = [part for summary in read for part in summary.parts]
    if not parts:
        return None
    return min(part.first_step for part in parts), max(part.last_step for part in parts)


def _chains(sessions: Sequence[_Session]) -> list[_Chain]:
    """The chains of one track, by the sessions of the track, oldest first."""
    chains: list[_Chain] = []
    # Of each model those that another session may go on with, by ascending first step.
    open_chains: dict[ModelIdentity | None, list[_Chain]] = defaultdict(list)
    without_records: list[_Session] = []
    for session in sessions:
        if session.steps is None:  # It belongs to what came after it.
            without_records.append(session)
            continue
        of_model = open_chains[session.model]
        older = (chain for chain in reversed(of_model) if chain.is_continued_by(session))
        chain = next(older, None)
        if chain is None:
            chain = _Chain()
            chains.append(chain)
            # The newest is what a session goes on with, of those that begin early enough.
            while of_model and of_model[-1].begins_at >= session.steps[0]:
                of_model.pop()
            of_model.append(chain)
        chain.sessions += without_records
        chain.add(session)
        without_records = []
    if without_records:
        if not chains:
            chains.append(_Chain())
        # In front, so that the newest session of the chain stays the one that has records.
        chains[-1].sessions[:0] = without_records
    return chains


def _numbers(tracks: Mapping[Track, Sequence[_Chain]]) -> dict[StreamKey, int]:
    """The number of each stream's training, from 0: one training has one chain of a track."""
    reference = max(tracks.values(), key=len)
    # A clock that was put back makes no later training an earlier one.
    began = list(accumulate((chain.sessions[0].span.began for chain in reference), max))
    numbers: dict[StreamKey, int] = {}
    for chains in tracks.values():
        number = -1
        for index, chain in enumerate(chains):
            left = len(chains) - index
            by_time = bisect_right(began, chain.span.ended) - 1
            number = min(max(by_time, number + 1), len(reference) - left)
            for session in chain.sessions:
                numbers[session.key] = number
    return numbers
