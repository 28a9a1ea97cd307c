"""Random effects that are drawn anew, and the individual parameters that they make."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cellkinetics.fitting.pooled.structure import FloatArray, Population, Structure


class Effects(NamedTuple):
    """Random effects on the working scale; the leading axes are those of the patients.

    Attributes:
        patient: around the typical values, the shift of a patient's class among them ``(..., q)``.
        occasion: of each occasion ``(..., K, r)``, or None for none.
    """

    patient: FloatArray
    occasion: FloatArray | None = None


def draw_effects(
    structure: Structure, population: Population, shape: tuple[int, ...], rng: np.random.Generator
) -> Effects:
    """Draw the random effects of patients from their population.

    Args:
        structure: the parts of the population model.
        population: its parameters, arrays of numpy.
        shape: of the patients.
        rng: of the draws.

    Example:
        >>> structure = Structure(("cmax", "tmax"), (0, 1), ("sigma",))
        >>> population = structure.values(structure.pack(np.log([9e3, 9.0]), np.array([0.5, 0.3]), [0.6]))
        >>> draw_effects(structure, population, (4,), np.random.default_rng(1)).patient.shape
        (4, 2)
    """
    own = rng.standard_normal((*shape, structure.n_random)) @ population.factor.T
    if structure.classes > 1:
        share = np.exp(population.log_share)
        own += population.shift[rng.choice(structure.classes, size=shape, p=share / share.sum())]
    if not structure.occasion:
        return Effects(own)
    between = rng.standard_normal((*shape, structure.occasions, len(structure.occasion)))
    return Effects(own, population.gamma * between)


def parameters(structure: Structure, population: Population, design: FloatArray, effects: Effects) -> FloatArray:
    """Return individual parameters on the working scale ``(..., K, p)``; one occasion where they do not vary.

    Args:
        structure: the parts of the population model.
        population: its parameters, arrays of numpy.
        design: what the covariate coefficients are multiplied by ``(n, p, c)``.
        effects: random effects of the patients ``(..., n)``.
    """
    phi = np.broadcast_to(population.mu, (*effects.patient.shape[:-1], len(population.mu))).copy()
    if structure.coefficients:
        phi += design @ population.beta
    phi[..., list(structure.random)] += effects.patient
    phi = np.repeat(phi[..., None, :], structure.occasions if structure.occasion else 1, axis=-2)
    if effects.occasion is not None:
        phi[..., list(structure.occasion)] += effects.occasion
    return phi
