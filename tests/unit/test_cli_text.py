"""What the console shows: lines, wrapping, and the bar."""

from __future__ import annotations

import io

import pytest

from tb_nanwatch.cli.progress import Progress
from tb_nanwatch.cli.terminal import Terminal, shortened
from tb_nanwatch.cli.text import comparison_text, place_text, plural, turn_on_text, victims_text
from tb_nanwatch.diagnosis import Place, Victim
from tb_nanwatch.diagnosis.compare import Comparison, Parting


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
    assert place_text(Place("loss", "", "loss")) == "loss"
    assert place_text(Place("activation", "a/b", "a/b")) == "activation a/b"
    assert (
        place_text(Place("activation_gradient", "b", "a/b#2", "w1"))
        == "activation gradient a/b#2, layer b (worker w1)"
    )


def test_victims_are_counted_by_role_and_named_by_layer() -> None:
    victims = [Victim("gradient", f"dense_{n}", f"m/dense_{n}/kernel", 7) for n in range(5)]
    victims.append(Victim("loss", "", "loss", 9))
    assert victims_text(victims) == (
        "5 gradients, 1 loss, from step 7 to 9, in dense_0, dense_1, dense_2 and 2 more"
    )


def test_what_to_turn_on_is_code_where_it_is_not_the_default() -> None:
    assert turn_on_text(["loss"]) == "recording loss too would tell more precisely."
    assert turn_on_text(["input", "slot", "activation_gradient"]) == (
        "recording input, slot and activation gradient too would tell more precisely: "
        '`Callback(..., watch=["default", "slot", "activation_gradient"])`.'
    )


def comparison(parting: Parting | None = None, norm_steps: int = 10) -> Comparison:
    return Comparison(0.01, 0, 9, norm_steps, 3, (0, 1), parting)


def test_a_comparison_says_what_was_compared() -> None:
    assert comparison_text(["a", "b"], comparison()) == (
        "the same within 0.01 of every norm. Compared: steps 0 to 9 of 3 tensors (1 tensor only "
        "in b)."
    )
    assert "Norms could be compared at 4 of the 10 steps" in comparison_text(
        ["a", "b"], comparison(norm_steps=4)
    )
    nothing = Comparison(0.01, None, None, 0, 3, (0, 0), None)
    assert comparison_text(["a", "b"], nothing) == "no steps of any tensor can be compared."


def test_a_parting_says_where_and_how_much() -> None:
    place = Place("gradient", "d", "d/kernel")
    norm = Parting(0, 15, False, place, "norm", (1.0, 1.5), 1 / 3, 4)
    assert comparison_text(["a", "b"], comparison(norm)).startswith(
        "they part within the steps 0 to 15, first on gradient d/kernel, layer d: root mean square "
        "1 and 1.5, norms apart by 33.33%. 3 more tensors there. Compared:"
    )
    initial = Parting(5, 5, True, place, "nonfinite", (0.0, 7.0), 1.0, 1)
    assert comparison_text(["a", "b"], comparison(initial)).startswith(
        "they differ before step 5 already, first on gradient d/kernel, layer d: 7 non-finite "
        "elements in b alone. Compared:"
    )
