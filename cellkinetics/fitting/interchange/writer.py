"""What the code of any other program says of a population model, whatever its words for it are."""

from __future__ import annotations

from collections.abc import Iterator

from cellkinetics.fitting.interchange.dataset import DataSet
from cellkinetics.fitting.interchange.layout import (
    Layout,
    effect_blocks,
    is_fixed,
    start_covariance,
    theta_labels,
    theta_values,
)
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.structure import FloatArray
from cellkinetics.models.base import Transform


class Writer:
    """A population model that is to be written.

    Attributes:
        problem: model, residual, structure, and what is fixed.
        data: the data set that the other program reads.
        start: parameters to start from.
        blocks: random effects that stand together, see `effect_blocks`.
        labels: of the fixed effects.
        values: of the fixed effects by label.
        kinds: what each label is, see `Structure.kinds`.
    """

    def __init__(self, problem: PooledProblem, x: FloatArray, data: DataSet) -> None:
        self.problem, self.data = problem, data
        self.structure, self.model, self.residual = problem.structure, problem.model, problem.residual
        self.start = self.structure.values(x)
        self.blocks = effect_blocks(self.structure)
        self.labels = theta_labels(self.structure)
        self.values = theta_values(self.structure, self.start)
        self.kinds = dict(zip(self.structure.labels, self.structure.kinds, strict=True))

    def layout_of(self, program: str, effects: int) -> Layout:
        """Return the parameters in the order of a program.

        Args:
            program: its name.
            effects: how many random effects it has for a parameter that varies between occasions.
        """
        names, parameters = self.structure.random_names, self.structure.parameters
        return Layout(
            program=program,
            model=self.model.name,
            residual=self.residual.name,
            theta=self.labels,
            eta=tuple(names[k] for block in self.blocks for k in block),
            occasion=tuple(parameters[k] for k in self.structure.occasion for _ in range(effects)),
        )

    def scale(self, label: str) -> Transform:
        """Return the scale that a fixed effect stands on: a typical value on that of its random effect."""
        return self.model[label].transform if self.kinds[label] == "typical" else "identity"

    def coefficients(self, k: int) -> Iterator[tuple[str, str]]:
        """Yield the covariate coefficients of parameter ``k``, each with its column of the data."""
        for one, column in zip(self.structure.coefficients, self.data.design, strict=True):
            if one.parameter == k:
                yield one.name, column

    def is_shifted(self, k: int) -> bool:
        """Tell whether parameter ``k`` differs between the sub-populations."""
        structure = self.structure
        return structure.classes > 1 and k in structure.random and structure.random.index(k) in structure.shifted

    def covariances(self) -> Iterator[tuple[tuple[int, ...], list[list[float]], bool]]:
        """Yield the blocks of random effects, each with the rows of its lower triangle, and whether it is fixed."""
        covariance = start_covariance(self.structure, self.start, self.problem.fixed)
        for block in self.blocks:
            rows = [[float(covariance[k, j]) for j in block[:row]] for row, k in enumerate(block, 1)]
            yield block, rows, is_fixed(self.structure, block, self.problem.fixed)

    def occasions(self) -> Iterator[tuple[str, float, bool]]:
        """Yield the parameters that vary between occasions, each with its variance, and whether that is fixed."""
        for k, sd in zip(self.structure.occasion, self.start.gamma, strict=True):
            name = self.structure.parameters[k]
            yield name, float(sd**2), f"gamma_{name}" in self.problem.fixed
