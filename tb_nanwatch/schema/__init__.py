"""What both sides agree on: columns, roles, statistics, tags, and the manifest's protobuf.

The only code that the training side and the serving side both build on, with `stats` and `wire`.
It imports the standard library and protobuf alone.
"""

VERSION = 1
"""Version of the record, the manifest and the histogram's bytes."""
