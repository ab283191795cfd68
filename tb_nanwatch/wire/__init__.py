"""Arrays to bytes and back: the only code that knows the record's and the grid's encodings.

- `records`: a record as one float64 tensor.
- `histograms`: a record's exponent histograms as one uint8 tensor.
- `manifest`: what the rows of the records are, as protobuf.
- `reruns`: what running a step again has found, as JSON.
- `events`: those tensors as TensorBoard's summary protos.
- `tensorboard_histograms`: histograms in the form of TensorBoard's own tabs.
- `grid`: a viewport's cells as the binary body of an HTTP response.

Everything is little-endian and carries a version; what is of another version is an error of
`VersionError`, never a guess.
"""

from __future__ import annotations


class WireError(ValueError):
    """Bytes that are not what they should be: damaged, or not ours."""


class VersionError(WireError):
    """Data of a version that this code does not know."""

    def __init__(self, what: str, got: int, expected: int):
        super().__init__(
            f"Got {what} of version {got} where {expected} was expected: "
            "written by a newer NaNWatch? Upgrade tb-nanwatch to read it."
        )
        self.got = got
