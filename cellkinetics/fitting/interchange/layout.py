"""What the parameters of an exported model are, in the order of the other program, and their values."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cellkinetics.errors import DataError, SettingsError
from cellkinetics.fitting.pooled.structure import FloatArray, Population, Structure
from cellkinetics.models.base import Transform
from cellkinetics.models.residual import Residual

LAYOUT = "layout.json"
"""The file beside an exported model by which its estimates are read."""

LEAST_CORRELATION = 0.01


@dataclass(frozen=True)
class Layout:
    """The parameters of an exported model in the order of the other program.

    Attributes:
        program: ``nonmem`` or ``nlmixr2``.
        model, residual: names.
        theta: labels of the fixed effects, see `cellkinetics.fitting.pooled.structure.Structure.labels`; typical
            values are on the scale of the random effects there, shares and residual SDs are themselves.
        eta: parameter of each random effect.
        occasion: parameter of each random effect of an occasion, after those of ``eta``.
    """

    program: str
    model: str
    residual: str
    theta: tuple[str, ...]
    eta: tuple[str, ...]
    occasion: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the text of `LAYOUT`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Return the layout that `to_json` wrote.

        Raises:
            DataError: for a text that it did not write.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            names: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in content.items()}
            return cls(**names)
        except (ValueError, TypeError, AttributeError):
            raise DataError(f"{LAYOUT} is not what cellkinetics export wrote; export the model again") from None


THETA_KINDS = ("typical", "coefficient", "shift", "share", "residual")
"""Kinds of `Structure.kinds` that are fixed effects in the other programs."""


def theta_labels(structure: Structure) -> tuple[str, ...]:
    """Return the labels of the fixed effects, those of the flat vector without variances and correlations."""
    pairs = zip(structure.labels, structure.kinds, strict=True)
    return tuple(label for label, kind in pairs if kind in THETA_KINDS)


def theta_values(structure: Structure, population: Population) -> dict[str, float]:
    """Return the fixed effects by label: typical values on the working scale, shares and residual SDs themselves."""
    shift = population.shift[1:][:, list(structure.shifted)].ravel()
    share = np.exp(population.log_share[1:])
    values = np.concatenate([population.mu, population.beta, shift, share, population.sigma])
    return dict(zip(theta_labels(structure), values.tolist(), strict=True))


def start_covariance(structure: Structure, population: Population, fixed: Container[str] = ()) -> FloatArray:
    """Return a covariance of the random effects ``(q, q)`` to start from.

    A correlation of zero inside a block is put to `LEAST_CORRELATION`, as NONMEM keeps a covariance that begins at
    zero; one whose label is among ``fixed`` stays what it is.
    """
    names = structure.random_names
    factor = np.asarray(population.factor)
    covariance = np.asarray(factor @ factor.T)
    for j, i in structure.pairs:
        least = LEAST_CORRELATION * np.sqrt(covariance[i, i] * covariance[j, j])
        if abs(covariance[i, j]) < least and f"corr_{names[i]}_{names[j]}" not in fixed:
            covariance[i, j] = covariance[j, i] = least
    return covariance


def effect_blocks(structure: Structure) -> tuple[tuple[int, ...], ...]:
    """Return the random effects in groups that stand together, as positions in ``structure.random``.

    Example:
        >>> effect_blocks(Structure(("a", "b", "c"), (0, 1, 2), ("sigma",), blocks=((0, 2),)))
        ((0, 2), (1,))
    """
    inside = {k for block in structure.blocks for k in block}
    single = [(k,) for k in range(structure.n_random) if k not in inside]
    return tuple(sorted([*structure.blocks, *single]))


def is_fixed(structure: Structure, block: Sequence[int], fixed: Container[str]) -> bool:
    """Tell whether a block of random effects is fixed.

    Args:
        structure: of the population model.
        block: positions in ``structure.random``, as of `effect_blocks`.
        fixed: labels of what is not estimated.

    Raises:
        SettingsError: for a block of which only a part is fixed, which the other programs cannot say.

    Example:
        >>> both = Structure(("a", "b"), (0, 1), ("sigma",), blocks=((0, 1),))
        >>> is_fixed(both, (0, 1), {"omega_a", "omega_b", "corr_a_b"}), is_fixed(both, (0, 1), {"a"})
        (True, False)
    """
    names = structure.random_names
    labels = [f"omega_{names[k]}" for k in block]
    labels += [f"corr_{names[i]}_{names[j]}" for j, i in structure.pairs if i in block and j in block]
    held = [label for label in labels if label in fixed]
    if held and len(held) < len(labels):
        free = [label for label in labels if label not in held]
        raise SettingsError(
            f"{', '.join(held)} is fixed and {', '.join(free)} is not, and NONMEM and nlmixr2 fix the covariances of a "
            "block all or none: fix all of them, estimate all, or take the parameter out of the block (omega)"
        )
    return bool(held)


def transformed(transform: Transform, value: str) -> str:
    """Return a formula for the natural value of a parameter from one for the scale of its random effect.

    Example:
        >>> transformed("logit", "mu")
        '1/(1 + exp(-(mu)))'
    """
    if transform == "log":
        return f"exp({value})"
    return f"1/(1 + exp(-({value})))" if transform == "logit" else value


def spread(residual: Residual, sigma: list[str], prediction: str) -> str:
    """Return a formula for the residual's SD, see `cellkinetics.models.residual.Residual`."""
    first, last = sigma[0], sigma[-1]
    return {
        "constant": first,
        "proportional": f"{first}*{prediction}",
        "combined": f"{first} + {last}*{prediction}",
        "combined-root": f"sqrt({first}**2 + ({last}*{prediction})**2)",
    }[residual.kind]
