"""The user's own line of source with a remedy written into it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tb_nanwatch.format.rerun import Operation

_CALLED: dict[str, frozenset[str]] = {
    "Log": frozenset({"log"}),
    "Log1p": frozenset({"log1p"}),
    "Sqrt": frozenset({"sqrt", "norm"}),
    "Rsqrt": frozenset({"rsqrt"}),
    "RealDiv": frozenset({"divide", "true_divide", "truediv"}),
    "Reciprocal": frozenset({"reciprocal"}),
    "Pow": frozenset({"pow", "power"}),
    "Exp": frozenset({"exp"}),
    "Expm1": frozenset({"expm1"}),
    "Softmax": frozenset({"softmax"}),
    "LogSoftmax": frozenset({"log_softmax"}),
    "Acos": frozenset({"acos", "arccos"}),
    "Asin": frozenset({"asin", "arcsin"}),
    "Atanh": frozenset({"atanh", "arctanh"}),
    "Acosh": frozenset({"acosh", "arccosh"}),
    "Erfinv": frozenset({"erfinv"}),
    "Lgamma": frozenset({"lgamma"}),
    "Digamma": frozenset({"digamma"}),
    "Cholesky": frozenset({"cholesky"}),
}
"""What functions are called that run an operation."""

_OPERATORS: dict[str, type[ast.operator]] = {
    "RealDiv": ast.Div,
    "Pow": ast.Pow,
    "Mul": ast.Mult,
    "AddV2": ast.Add,
    "Sub": ast.Sub,
}

_IN_KERAS = {
    "tf.sqrt": "sqrt",
    "tf.maximum": "maximum",
    "tf.minimum": "minimum",
    "tf.clip_by_value": "clip",
    "tf.nn.log_softmax": "log_softmax",
}
"""Functions of the remedies, and what `keras.ops` calls them."""


class _Place(NamedTuple):
    """A call or an operator in the line, and its operands."""

    node: ast.Call | ast.BinOp
    operands: list[ast.expr]


class _Source(NamedTuple):
    """An operand as it is written."""

    text: str
    node: ast.expr


def source_with_remedy(operation: Operation, remedy: str) -> str:
    """The line of the operation with its call written as the remedy's code says.

    Args:
      operation: with the line of the user's source.
      remedy: an expression of `x`, and of `y` for a second operand.

    Returns:
      "" where the line does not show for sure what to replace: it is a part of a statement that
      takes several, or calls no such function, or several.
    """
    found, wanted = _parsed(operation.code), _parsed(remedy)
    if found is None or wanted is None:
        return ""
    line, tree, shift = found
    expression = next((each.value for each in wanted[1].body if isinstance(each, ast.Expr)), None)
    if expression is None:
        return ""
    places = list(_places(tree, operation.type))
    if len(places) > 1:
        columns = _columns_in_code(operation, shift)
        places = [each for each in places if _columns(each.node) == columns]
    if len(places) != 1:
        return ""
    node = places[0].node
    columns, named = _columns(node), _named(line, places[0], expression)
    if columns is None or named is None:
        return ""
    filled = _Filled(remedy, named, _keras_prefix(node))
    written = _in_own_call(
        line, node, filled.visit(expression), _CALLED.get(operation.type, frozenset())
    )
    code = line.encode()  # Offsets are those of UTF-8.
    fixed = code[: columns[0]] + ast.unparse(written).encode() + code[columns[1] :]
    return fixed.decode()[shift : shift + len(operation.code) + len(fixed.decode()) - len(line)]


_AROUND = (("", ""), ("", "\n pass"), ("{", "}"), ("f(", ")"))
"""What makes a statement of a line: of a whole one, of the head of a block, of an entry of a dict,
of an argument."""


def _parsed(code: str) -> tuple[str, ast.Module, int] | None:
    """(statement, its tree, where the line begins in it); None where the line makes none."""
    for before, after in _AROUND:
        try:
            return before + code + after, ast.parse(before + code + after), len(before)
        except SyntaxError:
            continue
    return None


def _named(line: str, place: _Place, remedy: ast.expr) -> dict[str, _Source] | None:
    """What the remedy's names stand for in the line; None where that cannot be told."""
    first = place.operands[0]
    names = {each.id for each in ast.walk(remedy) if isinstance(each, ast.Name)}
    if "z" in names:  # The remedy takes the place of the call inside, too.
        if not (isinstance(first, ast.Call) and first.args):
            return None
        return {"z": _Source(_text(line, first.args[0]), first.args[0])}
    if _is_norm(place.node):
        is_root = isinstance(remedy, ast.Call) and _name(remedy) == "sqrt"
        return _of_norm(line, place) if is_root else None
    sources = [_Source(_text(line, each), each) for each in place.operands]
    return dict(zip("xy", sources, strict=False))


def _is_norm(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node) == "norm"


def _of_norm(line: str, place: _Place) -> dict[str, _Source] | None:
    """A norm is the root of a sum of squares: that sum, for the root of an Euclidean norm."""
    assert isinstance(place.node, ast.Call)
    if len(place.operands) != 1 or any(each.arg == "ord" for each in place.node.keywords):
        return None
    prefix = _keras_prefix(place.node)
    total, square = "tf.reduce_sum", "tf.square"
    if prefix:
        total, square = f"{prefix}.sum", f"{prefix}.square"
    options = "".join(f", {each.arg}={_text(line, each.value)}" for each in place.node.keywords)
    text = f"{total}({square}({_text(line, place.operands[0])}){options})"
    return {"x": _Source(text, ast.parse(text, mode="eval").body)}


def _text(line: str, node: ast.expr) -> str:
    return ast.get_source_segment(line, node) or ""


def _name(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def _columns(node: ast.expr) -> tuple[int, int] | None:
    """Where it begins and ends in the line; None where it takes several."""
    if node.lineno != node.end_lineno or node.end_col_offset is None:
        return None
    return node.col_offset, node.end_col_offset


def _columns_in_code(operation: Operation, shift: int) -> tuple[int, int] | None:
    """Where the call is in the line without its indentation, which begins at `shift`."""
    text = next((each.text for each in operation.source if each.line == operation.line), "")
    if operation.columns is None:
        return None
    indentation = len(text.encode()) - len(text.lstrip().encode()) - shift
    return operation.columns[0] - indentation, operation.columns[1] - indentation


def _places(tree: ast.AST, operation_type: str) -> Iterator[_Place]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            if _name(node) in _CALLED.get(operation_type, ()):
                yield _Place(node, node.args)
        elif isinstance(node, ast.BinOp):
            operator = _OPERATORS.get(operation_type)
            if operator is not None and isinstance(node.op, operator):
                yield _Place(node, [node.left, node.right])


def _in_own_call(
    line: str, node: ast.Call | ast.BinOp, remedy: ast.expr, names: frozenset[str]
) -> ast.expr:
    """The remedy; in the user's own call, with its options, where it only changes an argument."""
    if not (isinstance(node, ast.Call) and isinstance(remedy, ast.Call)):
        return remedy
    if _name(remedy) not in names or _is_norm(node):
        return remedy
    rest = [_verbatim(line, each) for each in node.args[len(remedy.args) :]]
    options = [ast.keyword(each.arg, _verbatim(line, each.value)) for each in node.keywords]
    return ast.Call(node.func, [*remedy.args, *rest], options)


def _verbatim(code: str, node: ast.expr) -> ast.expr:
    """A part of a code that is to stand as it is written: 1e-6 and not 1e-06."""
    return ast.Name(ast.get_source_segment(code, node) or ast.unparse(node))


def _keras_prefix(node: ast.Call | ast.BinOp) -> str:
    """What the user calls `keras.ops`, where the call is one of that; "" otherwise."""
    if not isinstance(node, ast.Call):
        return ""
    prefix = ast.unparse(node.func).rpartition(".")[0]
    return prefix if prefix.rpartition(".")[2] == "ops" else ""


_ATOMS = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant)


class _Filled(ast.NodeTransformer):
    """A remedy's expression with its operands, and in the user's own terms."""

    def __init__(self, code: str, operands: Mapping[str, _Source], keras_prefix: str):
        self._code = code
        self._operands = operands
        self._keras_prefix = keras_prefix
        self._operator: ast.operator | None = None

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        before, self._operator = self._operator, node.op
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        self._operator = before
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        before, self._operator = self._operator, None
        node.func = self.visit(node.func)
        node.args = [self.visit(each) for each in node.args]
        self._operator = before
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        operand = self._operands.get(node.id)
        if operand is None:
            return node
        return ast.Name(f"({operand.text})" if self._binds(operand.node) else operand.text)

    def _binds(self, operand: ast.expr) -> bool:
        """Whether the operator around an operand would bind a part of it alone."""
        if self._operator is None or isinstance(operand, _ATOMS):
            return False
        return not (isinstance(self._operator, ast.Add) and isinstance(operand, ast.BinOp))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return _verbatim(self._code, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        name = _IN_KERAS.get(ast.unparse(node))
        if self._keras_prefix and name:
            return ast.parse(f"{self._keras_prefix}.{name}", mode="eval").body
        return node
