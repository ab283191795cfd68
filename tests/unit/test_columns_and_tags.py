"""Columns, roles and the tag grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.format import roles
from tb_nanwatch.format.tags import Stream, Tag, block_tag, initial_tag, manifest_tag, parse_tag
from tb_nanwatch.stats import columns, statistics

SESSIONS = st.text("0123456789abcdef", min_size=1, max_size=20)
NAMES = st.text(max_size=30)
STREAMS = st.builds(Stream, SESSIONS) | st.builds(
    Stream, SESSIONS, st.sampled_from(roles.ROLE_NAMES), NAMES
)
HASHES = st.integers(0, 2**48 - 1)


@given(STREAMS, st.sampled_from(["stats", "hist"]), st.integers(0, 10**8))
def test_block_tags_parse_to_what_they_were_made_of(stream: Stream, kind: str, block: int) -> None:
    assert parse_tag(block_tag(kind, stream, block)) == Tag(kind, stream, block)


@given(STREAMS, HASHES)
def test_manifest_tags_parse_to_what_they_were_made_of(stream: Stream, digest: int) -> None:
    parsed = parse_tag(manifest_tag(stream, digest))
    assert parsed == Tag("manifest", stream, manifest=f"{digest:012x}")


@given(SESSIONS, HASHES)
def test_initial_tags_parse_to_what_they_were_made_of(session: str, digest: int) -> None:
    parsed = parse_tag(initial_tag(Stream(session), digest))
    assert parsed == Tag("initial", Stream(session), manifest=f"{digest:012x}")


@given(st.text(max_size=60) | st.builds("nanwatch/{}".format, st.text(max_size=60)))
def test_foreign_tags_are_no_error(tag: str) -> None:
    parsed = parse_tag(tag)
    assert parsed is None or tag.startswith("nanwatch/")


@pytest.mark.parametrize(
    "tag",
    [
        "loss",
        "nanwatch/stats",
        "nanwatch/stats/0a",
        "nanwatch/stats/XYZ/B000001",
        "nanwatch/manifest/0a/12345",
        "other/nanwatch/stats/0a/B000001",
    ],
)
def test_what_is_almost_a_tag_is_none(tag: str) -> None:
    assert parse_tag(tag) is None


def test_names_are_unique() -> None:
    for names in (
        columns.COLUMN_NAMES,
        columns.WINDOW_FIELD_NAMES,
        roles.ROLE_NAMES,
        [statistic.name for statistic in statistics.STATISTICS],
    ):
        assert len(set(names)) == len(names)


def test_version_and_manifest_come_first_in_a_window() -> None:
    # Readers of any version find them there.
    assert columns.WINDOW_FIELD_NAMES[:2] == ("version", "manifest")


def test_an_unknown_role_names_the_known_ones() -> None:
    assert roles.check_role("loss") == "loss"
    with pytest.raises(ValueError, match=r"'los'.*input, target, activation.*weight"):
        roles.check_role("los")
