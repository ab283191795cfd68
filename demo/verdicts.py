"""What is expected of a run, compared with what NaNWatch found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tb_nanwatch_demo.truth import Truth

HEADINGS = ("run", "expected", "found")


@dataclass(frozen=True)
class Verdict:
    """One run in `nanwatch report --json`, compared with its truth.

    Attributes:
      run: its name.
      truth: what is known of it.
      status: of the run, by NaNWatch.
      finding: the finding that is judged; None where there is none.
      others: causes of the other warnings and errors.
      causes: of all findings, information too.
    """

    run: str
    truth: Truth
    status: str
    finding: Mapping[str, Any] | None
    others: tuple[str, ...]
    causes: frozenset[str]

    @property
    def detected(self) -> bool:
        """Whether the status of the run is right: non-finite, unstable or healthy."""
        return self.status == self.truth.status

    @property
    def step(self) -> bool:
        return self._origin is not None and self.truth.step in (None, self.finding_step)

    @property
    def layer(self) -> bool:
        return self._origin is not None and self.truth.layer in (None, self._origin["layer"])

    @property
    def role(self) -> bool:
        roles = self.truth.roles
        return self._origin is not None and (not roles or self._origin["role"] in roles)

    @property
    def operation(self) -> bool:
        """Whether the operation is named that the truth knows; True where it knows none."""
        found = self._operation
        wanted = self.truth.operation
        return wanted is None or (found.get("type"), found.get("pass")) == wanted

    @property
    def line(self) -> bool:
        """Likewise the line of the source."""
        return self.truth.code in self._operation.get("code", "")

    @property
    def _operation(self) -> Mapping[str, Any]:
        origin = self._origin or {}
        return origin.get("operation", {})

    @property
    def cause(self) -> bool:
        found = {*self.truth.also} <= self.causes
        return found and self.finding is not None and self.finding["cause"] in self.truth.causes

    @property
    def false_alarms(self) -> tuple[str, ...]:
        """Causes of warnings and errors that the truth does not know."""
        known = {*self.truth.causes, *self.truth.also, *self.truth.beside}
        found = [*self.others, *([self.finding["cause"]] if self.finding else [])]
        return tuple(cause for cause in found if cause not in known)

    @property
    def agrees(self) -> bool:
        if self.truth.status == "healthy":
            return self.detected and not self.false_alarms and {*self.truth.also} <= self.causes
        where = (self.detected, self.step, self.layer, self.role, self.operation, self.line)
        return all(where) and self.cause and not self.false_alarms

    @property
    def finding_step(self) -> int | None:
        return None if self.finding is None else int(self.finding["step"])

    @property
    def _origin(self) -> Mapping[str, Any] | None:
        return None if self.finding is None else self.finding["origin"]


def judge(report: Mapping[str, Any], truth: Truth) -> Verdict:
    """The verdict on one element of `runs` of `nanwatch report --json`.

    Judged is the first finding; where all stays finite, the first of an expected cause: what came
    before it may be true as well.
    """
    findings = [each for each in report["findings"] if each["severity"] != "info"]
    judged = findings[:1]
    if truth.status == "unstable":
        judged = [each for each in findings if each["cause"] in truth.causes][:1] or judged
    others = tuple(each["cause"] for each in findings if each not in judged)
    return Verdict(
        run=report["run"],
        truth=truth,
        status=report["status"],
        finding=judged[0] if judged else None,
        others=others,
        causes=frozenset(each["cause"] for each in report["findings"]),
    )


def table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Lines to print: a heading, one line per run (`!` marks those that differ), and a total."""
    rows = [HEADINGS, *((v.run, expected(v.truth), found(v)) for v in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    marks = [" ", *(" " if verdict.agrees else "!" for verdict in verdicts)]
    for mark, (run, wanted, actual) in zip(marks, rows, strict=True):
        yield f"{mark} {run:{widths[0]}}  {wanted:{widths[1]}}  {actual}"
    differ = marks.count("!")
    yield ""
    yield f"{len(verdicts) - differ} of {len(verdicts)} runs as expected" + (
        f", {differ} marked !" if differ else ""
    )


def expected(truth: Truth) -> str:
    if not truth.causes:
        return _healthy(truth.also)
    return _place(" or ".join(truth.causes), truth.step, truth.layer or "", "")


def found(verdict: Verdict) -> str:
    if verdict.finding is None:
        causes = sorted(verdict.causes)
        return _healthy(causes) if verdict.status == "healthy" else verdict.status
    origin = verdict.finding["origin"]
    place = _place(verdict.finding["cause"], verdict.finding_step, origin["layer"], origin["role"])
    return place + "".join(f"; {cause}" for cause in verdict.others)


def _healthy(infos: Sequence[str]) -> str:
    return "healthy" + "".join(f" ({cause})" for cause in infos)


def _place(cause: str, step: int | None, layer: str, role: str) -> str:
    where = " of ".join(filter(None, (role.replace("_", " "), layer)))
    when = "" if step is None else f", step {step}"
    return cause + when + (f", {where}" if where else "")
