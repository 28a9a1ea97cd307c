"""A few lines of arithmetic, written once, as NM-TRAN and as R take them.

Formulas are written in the part of Python that all three share: assignments, ``if``/``elif``/``else`` of one level,
``+ - * / **``, comparisons joined by ``and``, and the functions ``exp``, ``log``, ``sqrt``. NM-TRAN forbids random
variables that are defined in nested blocks, so that there are none.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_RANK = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 2, ast.USub: 3, ast.Pow: 4}
_FORTRAN = {ast.Lt: ".LT.", ast.LtE: ".LE.", ast.Gt: ".GT.", ast.GtE: ".GE.", ast.Eq: ".EQ."}
_SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
_SPACED = (ast.Add, ast.Sub)


def to_nonmem(formulas: str) -> list[str]:
    r"""Return formulas as lines of NM-TRAN's abbreviated code, in capitals.

    Example:
        >>> for line in to_nonmem("if day < tmax: x = -log(day)\nelse: x = 2**day"):
        ...     print(line)
        IF (DAY.LT.TMAX) THEN
          X = -LOG(DAY)
        ELSE
          X = 2**DAY
        ENDIF
    """
    lines: list[str] = []
    for statement in ast.parse(formulas).body:
        if isinstance(statement, ast.Assign):
            lines.append(_assignment(statement, "=", "**").upper())
            continue
        word = "IF"
        for test, body in _branches(statement):
            lines.append("ELSE" if test is None else f"{word} ({_test(test, _fortran_test)}) THEN")
            lines += [f"  {_assignment(one, '=', '**')}".upper() for one in body]
            word = "ELSEIF"
        lines.append("ENDIF")
    return lines


def to_r(formulas: str) -> list[str]:
    r"""Return formulas as lines of R.

    Example:
        >>> for line in to_r("if day < tmax: x = -log(day)\nelse: x = 2**day"):
        ...     print(line)
        if (day < tmax) {
          x <- -log(day)
        } else {
          x <- 2^day
        }
    """
    lines: list[str] = []
    for statement in ast.parse(formulas).body:
        if isinstance(statement, ast.Assign):
            lines.append(_assignment(statement, "<-", "^"))
            continue
        opening = "if"
        for test, body in _branches(statement):
            lines.append("} else {" if test is None else f"{opening} ({_test(test, _r_test)}) {{")
            lines += [f"  {_assignment(one, '<-', '^')}" for one in body]
            opening = "} else if"
        lines.append("}")
    return lines


def _branches(statement: ast.stmt) -> list[tuple[ast.expr | None, list[ast.stmt]]]:
    """Return the tests and bodies of a chain of ``if``; the last test is None."""
    assert isinstance(statement, ast.If)
    branches: list[tuple[ast.expr | None, list[ast.stmt]]] = [(statement.test, statement.body)]
    rest = statement.orelse
    while len(rest) == 1 and isinstance(rest[0], ast.If):
        branches.append((rest[0].test, rest[0].body))
        rest = rest[0].orelse
    # A variable that one branch leaves undefined is zero in NM-TRAN and an error in R.
    assert rest, "a chain of if ends with else"
    return [*branches, (None, rest)]


def _assignment(statement: ast.stmt, sign: str, power: str) -> str:
    assert isinstance(statement, ast.Assign)
    return f"{ast.unparse(statement.targets[0])} {sign} {_expression(statement.value, power)}"


def _test(node: ast.expr, compare: Callable[[ast.Compare], str]) -> str:
    if isinstance(node, ast.BoolOp):
        joint = " && " if compare is _r_test else ".AND."
        return joint.join(_test(one, compare) for one in node.values)
    assert isinstance(node, ast.Compare)
    return compare(node)


def _fortran_test(node: ast.Compare) -> str:
    sides = (_expression(side, "**").replace(" ", "").upper() for side in (node.left, node.comparators[0]))
    return _FORTRAN[type(node.ops[0])].join(sides)


def _r_test(node: ast.Compare) -> str:
    return f"{_expression(node.left, '^')} {_SIGNS[type(node.ops[0])]} {_expression(node.comparators[0], '^')}"


def _expression(node: ast.expr, power: str, above: int = 0) -> str:
    """Return an expression; ``above`` is the rank of the operation that it is an operand of."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        return ast.unparse(node)
    if isinstance(node, ast.Constant):
        return f"{node.value!r}"
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return f"{node.func.id}({', '.join(_expression(one, power) for one in node.args)})"
    if isinstance(node, ast.UnaryOp):
        rank = _RANK[ast.USub]
        text = f"-{_expression(node.operand, power, rank)}"
        return f"({text})" if above > 0 else text
    assert isinstance(node, ast.BinOp)
    kind = type(node.op)
    rank = _RANK[kind]
    if kind is ast.Pow:
        return f"{_expression(node.left, power, rank + 1)}{power}{_expression(node.right, power, rank + 1)}"
    sign = f" {_BINARY[kind]} " if kind in _SPACED else _BINARY[kind]
    # What stands right of a minus or a slash keeps its own brackets.
    text = f"{_expression(node.left, power, rank)}{sign}{_expression(node.right, power, rank + 1)}"
    return f"({text})" if rank < above else text
