"""What the console shows: lines, wrapping, and the bar."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tb_nanwatch.cli.console_report import run_lines
from tb_nanwatch.cli.terminal import Terminal, shortened
from tb_nanwatch.diagnosis import Affected, Finding, Place, Verdict
from tb_nanwatch.diagnosis.comparison import Comparison, Difference
from tb_nanwatch.diagnosis.text.comparison import comparison_text
from tb_nanwatch.diagnosis.text.layout import record_also, seen_on, spread_to
from tb_nanwatch.diagnosis.text.numbers import plural
from tb_nanwatch.format.rerun import Element, Operand, Operation, Rerun, SourceLine
from tb_nanwatch.logdir.progress import Progress
from tb_nanwatch.logdir.runs import DiagnosedRun


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def test_the_bar_waits_shows_the_share_and_goes_away() -> None:
    screen = Screen()
    with Progress(screen, Clock()) as progress:
        progress.start("Reading", 10)
        assert screen.getvalue() == ""
        for _ in range(5):
            progress.advance(1)
        assert screen.getvalue().endswith("Reading [############............]  50%")
        progress.start("Thinking")
        assert screen.getvalue().endswith("\rThinking" + " " * 31)
    assert screen.getvalue().endswith("\r" + " " * 8 + "\r")


def test_no_bar_where_there_is_no_terminal() -> None:
    file = io.StringIO()
    with Progress(file, Clock()) as progress:
        progress.start("Reading", 10)
        for _ in range(10):
            progress.advance(1)
    assert file.getvalue() == ""


@pytest.mark.parametrize("width", [40, 80, 120])
def test_labelled_text_hangs_from_its_column(width: int) -> None:
    terminal = Terminal(width)
    text = "one two three four five six seven eight nine ten " * 4
    lines = list(terminal.labelled("what", text, indent=2, column=10))
    assert lines[0].startswith("  what    one two")
    assert all(line.startswith(" " * 10) for line in lines[1:])
    assert max(map(len, lines)) <= width
    assert " ".join(line[10:] for line in lines).split() == text.split()


def test_code_to_copy_stays_in_one_line_where_it_fits() -> None:
    text = "Write instead of it `tf.sqrt(tf.maximum(x, 0.0))`, and `" + "code " * 20 + "` too."
    lines = list(Terminal(48).labelled("", text, indent=0, column=4))
    assert lines[:2] == ["    Write instead of it", "    `tf.sqrt(tf.maximum(x, 0.0))`, and `code"]
    assert max(map(len, lines)) <= 48


def test_a_label_is_never_glued_to_its_text() -> None:
    (line,) = Terminal().labelled("a long label", "text", indent=2, column=8)
    assert line == "  a long label text"


def test_escape_codes_do_not_reach_the_terminal() -> None:
    assert Terminal().printable("a\x1b[2J\x07\u202eb\n") == r"a\x1b[2J\x07\u202eb\n"
    assert Terminal(encoding="ascii").printable("損") == r"\u640d"


@pytest.mark.parametrize(("longest", "expected"), [(9, "abc...xyz"), (8, "abc...yz")])
def test_what_is_shortened_keeps_both_ends(longest: int, expected: str) -> None:
    assert shortened("abcdefghijklmnopqrstuvwxyz", longest) == expected
    assert shortened("abc", longest) == "abc"


def test_numbers_of_things() -> None:
    said = [plural(1, "loss"), plural(2, "loss"), plural(1000, "activation gradient")]
    assert said == ["1 loss", "2 losses", "1,000 activation gradients"]


def test_places_name_what_tells_them_apart() -> None:
    assert seen_on(Place("loss", "", "loss")) == "loss"
    assert seen_on(Place("activation", "a/b", "a/b")) == "activation `a/b`"
    assert (
        seen_on(Place("activation_gradient", "b", "a/b#2", "w1"))
        == "activation gradient `a/b#2`, layer `b`, worker `w1`"
    )


def test_what_it_spread_to_is_counted_by_role_and_named_by_layer() -> None:
    affected = [Affected("gradient", f"dense_{n}", f"m/dense_{n}/kernel", 7) for n in range(5)]
    affected.append(Affected("loss", "", "loss", 9))
    assert spread_to(affected) == (
        "5 gradients and 1 loss (steps 7-9), in `dense_0`, `dense_1`, `dense_2` and 2 more"
    )
    assert spread_to(affected[:1]) == "1 gradient (step 7), in `dense_0`"
    assert spread_to([]) == ""


def finding(*roles: str) -> Finding:
    origin = Place("prediction", "", "prediction")
    evidence = {"nan": 3, "pos_inf": 0, "neg_inf": 0}
    return Finding(
        *("layer-forward", "error", 17, 40, origin),
        variant="invalid",
        evidence=evidence,
        record_also=roles,
    )


def test_what_to_record_is_code_where_it_is_not_the_default() -> None:
    assert record_also(finding("loss")) == "To pinpoint the origin, also record loss."
    assert record_also(finding("input", "slot", "activation_gradient")) == (
        "To pinpoint the origin, also record inputs, slots and activation gradients: "
        '`nanwatch.Callback(log_dir, watch=["default", "slot", "activation_gradient"])`, or '
        "`watcher.observe(slot=..., activation_gradient=...)` in a loop of your own."
    )
    assert record_also(finding()) == ""


@dataclass
class Index:
    """What the console reads of a run's index."""

    read: int = 3
    written: int = 3
    first_step: int | None = 0
    last_step: int | None = 40
    scale_skipped_steps: int = 0
    is_shared: bool = False
    began: float | None = None
    problems: tuple[str, ...] = ()


@dataclass
class Found:
    name: str = "a_run"
    index: Index = field(default_factory=Index)


def lines(*findings: Finding, index: Index | None = None) -> list[str]:
    verdict = Verdict(findings, 41, 9, frozenset({"gradient"}))
    found: Any = Found(index=index or Index())
    return list(run_lines(Terminal(88), DiagnosedRun(found, verdict)))


def test_a_finding_on_the_console() -> None:
    operation = Operation(
        *("Log", "forward", "gate", "src/model.py", 57, "call"),
        (SourceLine(57, "    return tf.math.log(x)"),),
        (Operand("x", "float32", (8, 16), (Element((0, 3), "0.0"),)),),
        Operand("result", "float32", (8, 16), (Element((0, 3), "-inf"),)),
    )
    found = replace(
        finding(),
        origin=Place("prediction", "gate", "prediction"),
        affected=(Affected("loss", "", "loss", 17),),
        rerun=Rerun(17, True, "eager", "", operation, (0,)),
    )
    assert lines(found) == [
        "a_run: NaN or Inf",
        "  steps 0-40",
        "",
        "  ERROR NaN at step 17 · `Log` in layer `gate`, forward · model.py:57",
        "    why         `Log` in layer `gate`, forward (src/model.py:57), returns -Inf for an",
        "                input of 0.0 (batch row 0). The prediction contains 3 NaN at step 17.",
        "    fix         At src/model.py:57, clamp its argument.",
        "      tf.math.log(tf.maximum(x, 1e-6))",
        "    source      src/model.py:57, in call: `return tf.math.log(x)`",
        "    operands    x[0, 3] = 0.0 (float32, 8 x 16)",
        "                result[0, 3] = -Inf (float32, 8 x 16)",
        "    re-run      reproduced when re-run eagerly",
        "    cause       layer-forward (steps 17-40)",
        "    seen on     prediction, layer `gate`",
        "    spread to   1 loss (step 17)",
    ]


def test_a_healthy_run_on_the_console() -> None:
    index = Index(read=2, scale_skipped_steps=1, problems=("1 record is missing.",))
    assert lines(index=index) == [
        "a_run: healthy",
        "  Healthy: no NaN or Inf, no exploding, vanishing or dead gradients (41 steps, 9",
        "  tensors)",
        "  steps 0-40, 2 of 3 records read, 1 step skipped by LossScaleOptimizer",
        "  note          1 record is missing.",
    ]


def comparison(difference: Difference | None = None, norm_steps: int = 10) -> Comparison:
    return Comparison(0.01, 0, 9, norm_steps, 3, (0, 1), difference)


def test_a_comparison_says_what_was_compared() -> None:
    assert comparison_text(["a", "b"], comparison()) == (
        "No difference: norms agree within a relative tolerance of 0.01. Compared steps 0-9 of 3 "
        "tensors (1 tensor only in `b`)."
    )
    assert "Norms could be compared in 4 of 10 steps" in comparison_text(
        ["a", "b"], comparison(norm_steps=4)
    )
    nothing = Comparison(0.01, None, None, 0, 3, (0, 0), None)
    assert comparison_text(["a", "b"], nothing) == "No step of any tensor can be compared."


def test_a_difference_says_where_and_how_much() -> None:
    place = Place("gradient", "d", "d/kernel")
    norm = Difference(0, 15, False, place, "norm", (1.0, 1.5), 1 / 3, 4)
    assert comparison_text(["a", "b"], comparison(norm)).startswith(
        "They diverge between step 0 and step 15, first in gradient `d/kernel`, layer `d`: RMS 1 "
        "and 1.5, norms 33.33% apart. 3 more tensors differ there. Compared "
    )
    initial = Difference(5, 5, True, place, "nonfinite", (0.0, 7.0), 1.0, 2)
    assert comparison_text(["a", "b"], comparison(initial)).startswith(
        "They differ before step 5 begins, first in gradient `d/kernel`, layer `d`: 7 NaN or Inf "
        "elements in `b`, none in `a`. 1 more tensor differs there. Compared "
    )
