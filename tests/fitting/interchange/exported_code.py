"""A reader of the code that is exported: NM-TRAN and R, as far as it is used, run as Python."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_FORTRAN = {".LT.": "<", ".LE.": "<=", ".GT.": ">", ".GE.": ">=", ".EQ.": "==", ".AND.": " and "}


def phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


class Places:
    """THETA(1), ETA(2): numbers counted from 1."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)

    def __call__(self, k: int) -> float:
        return self.values[k - 1]


def record(text: str, name: str) -> list[str]:
    """The lines of a record of a control stream, without comments, continued lines joined."""
    lines, inside = [], False
    for raw in text.splitlines():
        line = raw.split(";")[0].rstrip()
        if line.startswith("$"):
            inside = line.split()[0] == name
            line = line[len(name) :].strip() if inside else line
        if inside and line.strip():
            lines.append(line.strip())
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].endswith("&"):
            joined[-1] = joined[-1][:-1] + line
        else:
            joined.append(line)
    return joined


def run_pred(text: str, theta: Sequence[float], eta: Sequence[float], row: Mapping[str, float]) -> dict[str, float]:
    """The variables that $PRED sets for one row of data; an observation's Y is that with EPS(1) = 0."""
    source, depth = [], 0
    for line in record(text, "$PRED"):
        code = line
        for word, sign in _FORTRAN.items():
            code = code.replace(word, sign)
        if block := re.fullmatch(r"(ELSE)?IF \((.+)\) THEN", code):
            depth -= bool(block.group(1))
            source.append("    " * depth + f"{'elif' if block.group(1) else 'if'} {block.group(2)}:")
            depth += 1
        elif code == "ELSE":
            source.append("    " * (depth - 1) + "else:")
        elif code == "ENDIF":
            depth -= 1
        elif single := re.fullmatch(r"IF \((.+?)\) (\w+ = .+)", code):
            source.append("    " * depth + f"if {single.group(1)}: {single.group(2)}")
        else:
            source.append("    " * depth + code)
        # NM-TRAN refuses random variables that are defined in nested blocks.
        assert depth <= 1
    names: dict[str, Any] = {"EXP": math.exp, "LOG": math.log, "SQRT": math.sqrt, "PHI": phi}
    names |= {"THETA": Places(theta), "ETA": Places(eta), "EPS": lambda _: 0.0, **row}
    exec("\n".join(source), {"__builtins__": {}}, names)
    return names


def block(text: str, name: str) -> list[str]:
    """The lines of an R block such as model({ ... })."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.strip() == f"{name}({{")
    end = next(k for k, line in enumerate(lines) if k > start and line.strip() == "})")
    return [line.split("#")[0].strip() for line in lines[start + 1 : end]]


def run_model(text: str, values: Mapping[str, float], row: Mapping[str, float]) -> dict[str, Any]:
    """The variables that the model block sets for one row of data."""
    source, depth = [], 0
    for line in block(text, "model"):
        code = line.replace("<-", "=").replace("^", "**")
        code = re.sub(r"\b(eta|iov)\.(\w+)", r"\1_of_\2", code)
        if "~" in code:
            continue
        if opening := re.fullmatch(r"(\} else )?if \((.+)\) \{", code):
            depth -= bool(opening.group(1))
            source.append("    " * depth + f"{'elif' if opening.group(1) else 'if'} {opening.group(2)}:")
            depth += 1
        elif code == "} else {":
            source.append("    " * (depth - 1) + "else:")
        elif code == "}":
            depth -= 1
        else:
            source.append("    " * depth + code)
    names: dict[str, Any] = {
        "exp": math.exp,
        "log": math.log,
        "sqrt": math.sqrt,
        "expit": lambda x: 1.0 / (1.0 + math.exp(-x)),
    }
    names |= {name.replace(".", "_of_"): value for name, value in values.items()} | dict(row)
    exec("\n".join(source), {"__builtins__": {}}, names)
    return names
