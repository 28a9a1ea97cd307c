"""What a population model consists of, and the flat vector that holds its parameters.

    phi_i  = mu + X_i beta + E L u_i,      u_i ~ N(0, I),   Omega = L L'
    phi_ik = phi_i + E_occ diag(gamma) v_ik,   v_ik ~ N(0, I)        on occasion k

on the scale ``h`` of each parameter. In a mixture u_i is drawn around delta_c = L^-1 shift_c of its class c. The
flat vector is

    x = (mu, beta, ln omega, z, ln gamma, shift, class logits, ln residual parameters)

where z are partial correlations within the blocks of Omega, on the scale of atanh, so that every x is a
population.

Source of the correlations: Lewandowski D, Kurowicka D, Joe H. J Multivar Anal 2009;100:1989-2001,
doi:10.1016/j.jmva.2009.04.008, Section 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cellkinetics.errors import SettingsError
from cellkinetics.models.base import LogCurve, Model
from cellkinetics.models.residual import Residual

FloatArray = NDArray[np.float64]


class Coefficient(NamedTuple):
    """A covariate coefficient: its name, and the place of the parameter that it acts on."""

    name: str
    parameter: int


class Population(NamedTuple):
    """Population parameters on their working scales; arrays of JAX or of numpy.

    Attributes:
        mu: typical values ``(p,)``.
        beta: covariate coefficients ``(c,)``.
        factor: lower Cholesky factor of Omega ``(q, q)``.
        gamma: inter-occasion SDs ``(r,)``.
        shift: of the random effects' mean in each class ``(k, q)``, zeros in the first.
        log_share: logarithm of each class's share ``(k,)``.
        sigma: residual parameters ``(s,)``.
    """

    mu: Any
    beta: Any
    factor: Any
    gamma: Any
    shift: Any
    log_share: Any
    sigma: Any


@dataclass(frozen=True)
class Structure:
    """The parts of a population model; hashable, a static argument of compiled functions.

    Attributes:
        parameters: names of the model's parameters (p).
        random: places of those with random effects (q of them), ascending.
        residual: names of the residual's parameters.
        blocks: random effects that are correlated, as positions in ``random``.
        coefficients: covariate coefficients (c).
        occasion: places of the parameters that vary between occasions (r).
        occasions: most occasions of a patient.
        shifted: positions in ``random`` of what differs between the classes of a mixture.
        classes: number of sub-populations, 1 for no mixture.

    Example:
        >>> structure = Structure(("cmax", "tmax"), (0, 1), ("sigma",), blocks=((0, 1),))
        >>> structure.labels
        ('cmax', 'tmax', 'omega_cmax', 'omega_tmax', 'corr_cmax_tmax', 'sigma')
    """

    parameters: tuple[str, ...]
    random: tuple[int, ...]
    residual: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...] = ()
    coefficients: tuple[Coefficient, ...] = ()
    occasion: tuple[int, ...] = ()
    occasions: int = 1
    shifted: tuple[int, ...] = ()
    classes: int = 1

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The correlated pairs (later, earlier), as positions in ``random``."""
        return tuple((j, i) for block in self.blocks for i, j in combinations(sorted(block), 2))

    @property
    def n_random(self) -> int:
        """Number of random effects ``q``."""
        return len(self.random)

    @property
    def n_latent(self) -> int:
        """Length of a patient's whitened latent vector, ``q`` and ``r`` an occasion."""
        return len(self.random) + self.occasions * len(self.occasion)

    @cached_property
    def embedding(self) -> FloatArray:
        """Ones where a random effect belongs to a parameter, ``(q, p)``."""
        return np.eye(len(self.parameters))[list(self.random)]

    @cached_property
    def occasion_embedding(self) -> FloatArray:
        """Ones where an inter-occasion effect belongs to a parameter, ``(r, p)``."""
        return np.eye(len(self.parameters))[list(self.occasion)]

    def free_of(self, tight: Sequence[int]) -> tuple[int, ...]:
        """Return the positions of the random effects that are not ``tight``."""
        return tuple(k for k in range(self.n_random) if k not in tight)

    def tight(self, x: FloatArray, limit: float) -> tuple[int, ...]:
        """Return the uncorrelated random effects, of one class, whose SD is below a limit."""
        sd = np.exp(x[self.parts["omega"]])
        bound = {k for block in self.blocks for k in block} | set(self.shifted)
        return tuple(k for k in range(self.n_random) if k not in bound and sd[k] < limit)

    @cached_property
    def parts(self) -> Mapping[str, slice]:
        """Where each part stands in the flat vector."""
        sizes = {
            "mu": len(self.parameters),
            "beta": len(self.coefficients),
            "omega": len(self.random),
            "correlation": len(self.pairs),
            "gamma": len(self.occasion),
            "shift": (self.classes - 1) * len(self.shifted),
            "share": self.classes - 1,
            "residual": len(self.residual),
        }
        ends = np.cumsum(list(sizes.values())).tolist()
        return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}

    @cached_property
    def random_names(self) -> tuple[str, ...]:
        """Names of the parameters with random effects."""
        return tuple(self.parameters[k] for k in self.random)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names of the elements of the flat vector."""
        names = self.random_names
        later = range(2, self.classes + 1)
        return (
            *self.parameters,
            *(coefficient.name for coefficient in self.coefficients),
            *(f"omega_{name}" for name in names),
            *(f"corr_{names[i]}_{names[j]}" for j, i in self.pairs),
            *(f"gamma_{self.parameters[k]}" for k in self.occasion),
            *(f"shift_{names[k]}_{number}" for number in later for k in self.shifted),
            *(f"share_{number}" for number in later),
            *self.residual,
        )

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What each element is: typical, coefficient, omega, correlation, gamma, shift, share or residual."""
        words = dict(zip(self.parts, _KINDS, strict=True))
        return tuple(words[name] for name, part in self.parts.items() for _ in range(part.start, part.stop))

    def unpack(self, x: jax.Array) -> Population:
        """Return the parts of a flat vector (JAX)."""
        return self._unpack(x, jnp)

    def values(self, x: FloatArray) -> Population:
        """Return the parts of a flat vector as arrays of numpy."""
        return self._unpack(np.asarray(x), np)

    def _unpack(self, x: Any, xp: Any) -> Population:
        part, q = self.parts, self.n_random
        sd = xp.exp(x[part["omega"]])
        factor = sd[:, None] * self._correlation_factor(x[part["correlation"]], xp) if self.pairs else xp.diag(sd)
        shift, log_share = xp.zeros((1, q)), xp.zeros(1)
        if self.classes > 1:
            moved = x[part["shift"]].reshape(self.classes - 1, len(self.shifted)) @ np.eye(q)[list(self.shifted)]
            shift = xp.concatenate([shift, moved])
            logits = xp.concatenate([log_share, x[part["share"]]])
            log_share = logits - xp.log(xp.exp(logits).sum())  # the bounds keep the logits small
        return Population(
            mu=x[part["mu"]],
            beta=x[part["beta"]],
            factor=factor,
            gamma=xp.exp(x[part["gamma"]]),
            shift=shift,
            log_share=log_share,
            sigma=xp.exp(x[part["residual"]]),
        )

    def _correlation_factor(self, z: Any, xp: Any) -> Any:
        """Return the Cholesky factor of the correlation matrix from its partial correlations, row by row."""
        q, partial = self.n_random, xp.tanh(z)
        rows: list[list[Any]] = [[xp.zeros(())] * q for _ in range(q)]
        left: list[Any] = [xp.ones(())] * q
        for j, i in sorted(self.pairs):
            own = partial[self.pairs.index((j, i))]
            rows[j][i] = own * xp.sqrt(left[j])
            left[j] = left[j] * (1.0 - own**2)
        for k in range(q):
            rows[k][k] = xp.sqrt(left[k])
        return xp.stack([xp.stack(row) for row in rows])

    def pack(
        self,
        mu: FloatArray,
        omega: FloatArray,
        sigma: Sequence[float] | FloatArray,
        *,
        beta: FloatArray | None = None,
        gamma: FloatArray | None = None,
        shift: FloatArray | None = None,
        share: FloatArray | None = None,
    ) -> FloatArray:
        """Return the flat vector of a population.

        Args:
            mu: ``(p,)`` on the working scale.
            omega: covariance of the random effects ``(q, q)``, or their SDs ``(q,)``. Correlations outside the
                blocks are dropped.
            sigma: residual parameters.
            beta: covariate coefficients; zeros where they are not given.
            gamma: SDs between occasions; half those between patients.
            shift: of each class ``(k, q)``, the first all zeros; zeros.
            share: of each class ``(k,)``, with sum 1; equal ones.
        """
        omega = np.asarray(omega, dtype=float)
        matrix = np.diag(omega**2) if omega.ndim == 1 else omega
        sd = np.sqrt(np.diag(matrix))
        z = np.zeros(len(self.pairs))
        for block in self.blocks:
            rows = sorted(block)
            correlation = matrix[np.ix_(rows, rows)] / np.outer(sd[rows], sd[rows])
            factor = np.linalg.cholesky(correlation)
            for b, j in enumerate(rows):
                left = 1.0
                for a in range(b):
                    partial = np.clip(factor[b, a] / np.sqrt(left), -1 + 1e-9, 1 - 1e-9)
                    z[self.pairs.index((j, rows[a]))] = np.arctanh(partial)
                    left *= 1.0 - partial**2
        if gamma is None:
            places = [self.random.index(k) if k in self.random else -1 for k in self.occasion]
            gamma = np.array([0.5 * sd[k] if k >= 0 else 0.3 for k in places])
        later = self.classes - 1
        shift_part = np.zeros((later, len(self.shifted))) if shift is None else shift[1:][:, list(self.shifted)]
        shares = np.full(self.classes, 1.0 / self.classes) if share is None else np.asarray(share)
        return np.concatenate(
            [
                np.asarray(mu, dtype=float),
                np.zeros(len(self.coefficients)) if beta is None else np.asarray(beta, dtype=float),
                np.log(sd),
                z,
                np.log(gamma),
                shift_part.ravel(),
                np.log(shares[1:] / shares[0]),
                np.log(np.asarray(sigma, dtype=float)),
            ]
        )


@dataclass(frozen=True)
class Form:
    """A population model as compiled functions take it: what is predicted, its residual, and its structure."""

    model: Model
    residual: Residual
    structure: Structure

    @cached_property
    def identity(self) -> str | None:
        """A text that says which model, residual and structure; None for a model that is known in this run only."""
        known = self.model.identity
        return None if known is None else f"{known} {self.residual!r} {self.structure!r}"

    def curve(self, smooth: bool) -> LogCurve:
        """Return ln C, or its smooth twin (`Model.search_curve`), which is the curve itself without a kink."""
        return (self.model.search_curve or self.model.log_curve) if smooth else self.model.log_curve


class Formed:
    """What has a `Form`, with the form's parts as its own."""

    form: Form

    @property
    def model(self) -> Model:
        """What is predicted."""
        return self.form.model

    @property
    def residual(self) -> Residual:
        """How samples spread around it."""
        return self.form.residual

    @property
    def structure(self) -> Structure:
        """The parts of the population model."""
        return self.form.structure


_KINDS = ("typical", "coefficient", "omega", "correlation", "gamma", "shift", "share", "residual")


def parse_blocks(omega: str, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the blocks of Omega from ``diagonal``, ``full``, or names such as ``cmax,foldx;alpha,beta``.

    Args:
        omega: the text.
        names: parameters with random effects, in order.

    Raises:
        SettingsError: for a name without a random effect, one in two blocks, or a block of a single name.

    Example:
        >>> parse_blocks("cmax,foldx", ["cmax", "tmax", "foldx"])
        ((0, 2),)
        >>> parse_blocks("full", ["cmax", "tmax", "foldx"])
        ((0, 1, 2),)
    """
    text = omega.strip().lower()
    if text == "diagonal":
        return ()
    if text == "full":
        return (tuple(range(len(names))),) if len(names) > 1 else ()
    blocks, seen = [], set[str]()
    for part in text.split(";"):
        block = [name.strip() for name in part.split(",") if name.strip()]
        for name in block:
            if name not in names:
                raise SettingsError(
                    f"omega {omega!r}: {name!r} has no random effect; write diagonal, full, or blocks of "
                    f"{', '.join(names)}, as in cmax,foldx;alpha,beta"
                )
            if name in seen:
                raise SettingsError(f"omega {omega!r}: {name} stands twice; a parameter is in one block")
            seen.add(name)
        if len(block) < 2:
            raise SettingsError(f"omega {omega!r}: a block holds at least two parameters, as in cmax,foldx")
        blocks.append(tuple(sorted(names.index(name) for name in block)))
    return tuple(blocks)
