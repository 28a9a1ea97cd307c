"""What a schedule tells about one patient: alone, and with the population as prior."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellkinetics.data.cohort import BoolArray, FloatArray
from cellkinetics.fitting.design.patients import Days
from cellkinetics.fitting.precision import WEAK_SE
from cellkinetics.models.compilation import compiled

_FLAT = 1e-6
# A direction told less than this is taken as told this much, an SE of 1000, as in a fit.


class Alone(NamedTuple):
    """A patient fitted alone, over ``(n, p + 1)``: the parameters on their transformed scale, then ln sigma.

    Attributes:
        se: expected standard error; a direction that the samples do not tell counts as one of SE 1000.
        identifiable: whether the package would report the parameter, see `patient_precision`.
    """

    se: FloatArray
    identifiable: BoolArray


def patient_information(days: Days) -> FloatArray:
    """Return each patient's expected information about (phi, ln sigma), shape ``(n, p + 1, p + 1)``.

        M = sum over samples j of [ w_j J_j J_j'   v_j J_j ]
                                  [ v_j J_j'       2 c_j   ]

    J are the derivatives of ln C, and w, v, 2 c the information of the sample about ln C, about ln C and
    ln sigma together, and about ln sigma (`cellkinetics.fitting.design.sample.sample_information`). The
    samples of a patient are independent given phi, so the matrix is additive over them.
    """
    with jax.enable_x64(True):
        return np.asarray(_information(days))


@compiled
def _information(days: Days) -> jax.Array:
    curve = jnp.einsum("njp,nj,njq->npq", days.slope, days.weight, days.slope)
    both = jnp.einsum("njp,nj->np", days.slope, days.cross)
    sigma = 2.0 * days.residual.sum(axis=1)
    upper = jnp.concatenate([curve, both[:, :, None]], axis=2)
    lower = jnp.concatenate([both, sigma[:, None]], axis=1)
    return jnp.concatenate([upper, lower[:, None, :]], axis=1)


def patient_precision(information: FloatArray, n_quantified: FloatArray) -> Alone:
    """Return the expected standard errors of patients fitted alone, and which parameters would be reported.

        se_k = sqrt( [M^-1]_kk * q / (q - p) )

    q is the expected number of quantified samples and p the number of parameters; the factor is that of
    `cellkinetics.fitting.precision.covariance`. A parameter counts as identifiable if q > p and its SE is at
    most `WEAK_SE`.

    Args:
        information: ``(n, p + 1, p + 1)``.
        n_quantified: ``(n,)``.
    """
    p = information.shape[1] - 1
    values, vectors = np.linalg.eigh(information)
    variance = ((vectors**2) / np.maximum(values, _FLAT)[:, None, :]).sum(axis=2)
    left = n_quantified > p
    factor = np.where(left, n_quantified / np.where(left, n_quantified - p, 1.0), 1.0)
    se = np.sqrt(variance * factor[:, None])
    return Alone(se, (se <= WEAK_SE) & left[:, None])


@compiled
def posterior_variance(curve: jax.Array, omega: jax.Array) -> jax.Array:
    """Return the expected posterior variance of each patient's parameters, shape ``(n, p)``.

        P = (M + Omega^-1)^-1 = L (I + L M L)^-1 L,   L = diag(omega)

    the covariance of a MAP estimate where population and residual are known. A parameter without
    variability has none left.

    Args:
        curve: information about phi, ``(n, p, p)``.
        omega: ``(p,)``.

    Source: Combes FP, Retout S, Frey N, Mentre F. Pharm Res 2013;30:2355-2367, doi:10.1007/s11095-013-1079-3.
    """
    white = omega[:, None] * curve * omega
    inverse = jnp.linalg.inv(jnp.eye(omega.shape[0]) + white)
    return omega**2 * jnp.diagonal(inverse, axis1=1, axis2=2)


def shrinkage(variance: FloatArray, omega: FloatArray) -> FloatArray:
    """Return the expected shrinkage of the modes in percent, 100 (1 - SD(modes)/omega), shape ``(p,)``.

        Var(modes) = omega^2 - E[P]

    NaN for a parameter without variability.

    Args:
        variance: posterior variances, ``(n, p)``.
        omega: ``(p,)``.

    Source: as `posterior_variance`; there the ratio of variances, here that of SDs, as in population fits.

    Example:
        >>> shrinkage(np.array([[0.19]]), np.array([0.5])).round(1).tolist()
        [51.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.clip(1.0 - variance.mean(axis=0) / omega**2, 0.0, 1.0)
        return np.where(omega > 0, 100.0 * (1.0 - np.sqrt(left)), np.nan)


def explained(days: Days, omega: FloatArray) -> FloatArray:
    """Return the share of each parameter's variability that one sample on a day explains, ``(d, p)``.

        1 - P_kk/omega_k^2 = w omega_k^2 J_k^2 / (1 + w sum_l omega_l^2 J_l^2)

    averaged over patients: how much that sample alone narrows the prior of the parameter while the others
    are as unknown as the population leaves them. Shares of a day add up to less than 1; the rest is
    residual error and what is lost below the limit of quantification.
    """
    slope, weight = np.asarray(days.slope), np.asarray(days.weight)
    told = weight[..., None] * (omega * slope) ** 2
    return (told / (1.0 + told.sum(axis=-1, keepdims=True))).mean(axis=0)
