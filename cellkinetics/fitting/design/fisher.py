"""The expected information of a population fit: typical values, variability and residual.

Conditional on a patient's parameters every sample is taken as normal with the variance that its expected
information implies, R_j = 1/w_j, so that samples below quantification count for what they tell. The curve is
linearised at the patient's own parameters, and the information of the linear mixed model,

    V = J Omega J' + R,   I_mu = J' V^-1 J,   I_ab = tr(V^-1 dV/da V^-1 dV/db) / 2,

is averaged over patients drawn from the population; the part of mu and that of the variances are taken as
independent. At eta = 0 alone this is the first-order (FO) matrix with its two blocks.

Everything depends on the samples through sums over them (`Sums`), so schedules are compared by adding days.

Sources: Retout S, Mentre F. J Biopharm Stat 2003;13:209-227, doi:10.1081/BIP-120019267 (blocks); Nyberg J et al.
Br J Clin Pharmacol 2015;79:6-17, doi:10.1111/bcp.12352 (FO, blocks and full matrix against simulations); Stromberg EA,
Nyberg J, Hooker AC. J Pharmacokinet Pharmacodyn 2016;43:609-619, doi:10.1007/s10928-016-9499-4 (linearised at the
patients instead of eta = 0). The weight of samples below quantification is our own.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.fitting.design.patients import Days

_NULL = 1e-9
"""Eigenvalues of the scaled matrix below this share of the largest are taken as 0."""


class Sums(NamedTuple):
    """Sums over a patient's samples, leading axis ``n``.

    Attributes:
        curve: w J J', ``(n, p, p)``.
        half, whole: the same with the root of the residual's share c, and with c itself.
        residual: sum of c, ``(n,)``.
    """

    curve: jax.Array
    half: jax.Array
    whole: jax.Array
    residual: jax.Array


def add_samples(days: Days) -> Sums:
    """Return the sums over all samples of a schedule (JAX)."""
    share = jnp.maximum(days.residual, 0.0)

    def total(weight: jax.Array) -> jax.Array:
        return jnp.einsum("njp,nj,njq->npq", days.slope, weight, days.slope)

    return Sums(total(days.weight), total(days.weight * jnp.sqrt(share)), total(days.weight * share), share.sum(axis=1))


def expected_information(sums: Sums, omega: jax.Array) -> jax.Array:
    """Return the information one patient is expected to bring about (mu, ln omega, ln sigma) (JAX).

        B = J'V^-1 J = (I + M Omega)^-1 M,   P = (M + Omega^-1)^-1,   D = dV/d ln sigma / 2 = C^(1/2) R

        mu, mu:              B
        ln omega, ln omega:  2 (omega_k omega_l B_kl)^2
        ln omega, ln sigma:  2 omega_k^2 [(I - M P) M_half (I - P M)]_kk
        ln sigma, ln sigma:  2 [ sum c - 2 tr(P M_whole) + tr((P M_half)^2) ]

    C = diag(c) scales the information about sigma of samples that may be censored; with c = 1 all of it is
    the exact information of the linear model.

    Args:
        sums: of ``n`` patients.
        omega: SDs of the random effects, ``(p,)``; 0 for none.

    Returns:
        The mean over the patients, shape ``(2p + 1, 2p + 1)``, with rows of 0 for SDs that are 0.
    """
    p = omega.shape[0]
    white = omega[:, None] * sums.curve * omega
    inverse = jnp.linalg.inv(jnp.eye(p) + white)
    prior = omega[:, None] * inverse * omega  # P
    between = sums.curve - sums.curve @ prior @ sums.curve  # B
    seen = jnp.eye(p) - sums.curve @ prior  # I - M P
    variances = 2.0 * (omega[:, None] * between * omega) ** 2
    mixed = 2.0 * omega**2 * jnp.einsum("nkl,nlm,nkm->nk", seen, sums.half, seen)
    product = prior @ sums.half
    residual = 2.0 * (
        sums.residual - 2.0 * jnp.einsum("nkl,nlk->n", prior, sums.whole) + jnp.einsum("nkl,nlk->n", product, product)
    )
    out = jnp.zeros((2 * p + 1, 2 * p + 1))
    out = out.at[:p, :p].set(between.mean(axis=0)).at[p:-1, p:-1].set(variances.mean(axis=0))
    out = out.at[p:-1, -1].set(mixed.mean(axis=0)).at[-1, p:-1].set(mixed.mean(axis=0))
    return out.at[-1, -1].set(residual.mean())


class Precision(NamedTuple):
    """What an information matrix promises; arrays ``(q,)``.

    Attributes:
        se: standard errors, NaN where the matrix does not determine the parameter.
        determined: False for such a parameter.
        log_det: ln of the determinant, -inf for a singular matrix.
        covariance: ``(q, q)``, generalised inverse where the matrix is singular.
    """

    se: FloatArray
    determined: BoolArray
    log_det: float
    covariance: FloatArray


def precision_of(information: FloatArray) -> Precision:
    """Return standard errors from an information matrix, telling parameters that it leaves open.

    The matrix is scaled to a diagonal of ones first, so that units do not decide what counts as 0.

    Example:
        >>> precision_of(np.diag([4.0, 25.0])).se.tolist()
        [0.5, 0.2]
    """
    size = np.sqrt(np.diag(information))
    told = size > 0
    scale = np.where(told, size, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    null = values <= _NULL * max(float(values.max()), _NULL)
    determined = told & ((vectors[:, null] ** 2).sum(axis=1) < 1e-6)
    kept = vectors[:, ~null]
    covariance = (kept / values[~null]) @ kept.T / np.outer(scale, scale)
    se = np.where(determined, np.sqrt(np.diag(covariance)), np.nan)
    log_det = -np.inf if null.any() else float(np.log(values).sum() + 2.0 * np.log(scale).sum())
    return Precision(se, determined, log_det, covariance)
