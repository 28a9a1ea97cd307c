"""A NONMEM control stream: the population model as ``$PRED``, MU-referenced, with M3 by ``F_FLAG`` and ``PHI``.

Typical values stand in ``$THETA`` on the scale of the random effects, and so do residual SDs (``$SIGMA`` is fixed to
1), because the likelihood of a censored sample needs them.

Source: Beal SL. J Pharmacokinet Pharmacodyn 2001;28:481-504, doi:10.1023/A:1012299115260 (M3).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from cellkinetics.data.cohort import RIGHT_CENSORED
from cellkinetics.errors import ModelError, SettingsError
from cellkinetics.fitting.interchange.dataset import LONGEST_NAME, DataSet
from cellkinetics.fitting.interchange.equations import RESULT, TIME, curve_formulas
from cellkinetics.fitting.interchange.language import to_nonmem
from cellkinetics.fitting.interchange.layout import Layout, spread, transformed
from cellkinetics.fitting.interchange.writer import Writer
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.structure import FloatArray

STREAM = "run1.ctl"
_RESERVED = ("F_FLAG",)
_FLOOR = 1e-30
"""Added to the likelihood of a censored sample, so that its logarithm is a number far from the optimum."""
_LEAST = 1e-3
"""What a THETA begins with in the place of zero, which NONMEM does not take."""
_WIDTH = 120
_TITLE = 80  # characters of $PROBLEM, of which NONMEM keeps 72


def control_stream(
    problem: PooledProblem, x: FloatArray, data: DataSet, *, file: str, seed: int = 0
) -> tuple[str, Layout]:
    """Return the control stream of a population model, and what its THETAs and ETAs are.

    Args:
        problem: model, residual, structure, and what is fixed.
        x: starting values, the flat vector.
        data: the data set that it reads.
        file: name of that data set.
        seed: of the estimation.

    Raises:
        ModelError: for a model whose equations are not known as text.
        SettingsError: for a residual that NONMEM has no words for.
    """
    if problem.residual.kind == "student":
        raise SettingsError(
            f"residual {problem.residual.name} cannot be written for NONMEM, which has no distribution function "
            "of Student's t for censored samples: export with log-constant"
        )
    writer = _Stream(problem, x, data)
    return writer.text(file, seed), writer.layout_of("nonmem", data.occasions)


class _Stream(Writer):
    """The parts of one control stream."""

    def __init__(self, problem: PooledProblem, x: FloatArray, data: DataSet) -> None:
        super().__init__(problem, x, data)
        self.position = {self.structure.random[k]: at for at, k in enumerate(sum(self.blocks, ()), start=1)}
        bad = [name for name in self.structure.parameters if name.upper() in _RESERVED or len(name) > LONGEST_NAME]
        if bad:
            raise ModelError(f"the parameter {bad[0]} of model {self.model.name} cannot be a name in NONMEM")

    def text(self, file: str, seed: int) -> str:
        """Return the whole stream."""
        laplace = " LAPLACE" if self.data.is_censored else ""
        why = "; SAEM itself does not use LAPLACE: NM-TRAN asks for it where some samples have a likelihood (F_FLAG)"
        flag = ["CENS"] if self.data.is_censored else []
        wanted = ["ID", "TIME", "DV", "MDV", *flag, "IPRED", *(name.upper() for name in self.structure.parameters)]
        lines = [
            f"$PROBLEM {self.model.name}: {self.model.title}"[:_TITLE],
            *_wrapped(f"$INPUT {' '.join(self._input())}"),
            f"$DATA {file} IGNORE=@",
            "",
            *self._mix(),
            "$PRED",
            *self._individual(),
            "; ln C",
            f"{TIME.upper()} = {'DAYS' if self.data.occasions else 'TIME'}",
            *to_nonmem(curve_formulas(self.model, max(self.data.windows, 1))),
            "; Samples",
            *self._likelihood(),
            "",
            "; Typical values are on the scale of the random effects",
            *self._theta(),
            "",
            *self._omega(),
            "",
            "$SIGMA 1 FIX",
            "",
            f"$ESTIMATION METHOD=SAEM INTERACTION{laplace} AUTO=1 SEED={seed + 1} PRINT=50 NOABORT",
            f"$ESTIMATION METHOD=IMP INTERACTION{laplace} EONLY=1 MAPITER=0 NITER=10 ISAMPLE=3000 SEED={seed + 1} "
            "PRINT=1",
            *([why] if laplace else []),
            "$COVARIANCE UNCONDITIONAL MATRIX=R PRINT=E",
            *_wrapped(f"$TABLE {' '.join(wanted)} NOPRINT ONEHEADER FILE=run1.tab"),
        ]
        return "\n".join(lines) + "\n"

    def _input(self) -> Iterator[str]:
        """Yield the data items; on the log scale the file's LNDV is what NONMEM calls DV."""
        log = self.residual.scale == "log"
        unused = ("EVID", "LLOQ", "ULOQ", *(() if self.data.is_censored else ("CENS",)))
        for name in self.data.columns:
            if name == "DV":
                yield "VALUE=DROP" if log else "DV"
            elif name == "LNDV":
                yield "DV" if log else "LNDV=DROP"
            elif name == "DAY":
                yield "DAYS"
            else:
                yield f"{name}=DROP" if name in unused else name

    def _theta_of(self, label: str) -> str:
        return f"THETA({self.labels.index(label) + 1})"

    def _individual(self) -> Iterator[str]:
        """Yield the individual parameters."""
        structure, data = self.structure, self.data
        for occasion in range(1, data.occasions + 1):
            yield f"OC{occasion} = 0"
            yield f"IF (OCC.EQ.{occasion}) OC{occasion} = 1"
        for k in structure.shifted if structure.classes > 1 else ():
            name = structure.random_names[k]
            yield f"SH_{name.upper()} = 0"
            for number in range(2, structure.classes + 1):
                shift = self._theta_of(f"shift_{name}_{number}")
                yield f"IF (MIXNUM.EQ.{number}) SH_{name.upper()} = {shift}"
        typical = []
        for k, name in enumerate(structure.parameters):
            sums = [f"{self._theta_of(label)}*{column}" for label, column in self.coefficients(k)]
            typical.append(" + ".join([self._theta_of(name), *sums]))
        for k, at in self.position.items():
            yield from _continued(f"MU_{at} = {typical[k]}")
        for k, parameter in enumerate(self.model.parameters):
            sums = [f"MU_{self.position[k]} + ETA({self.position[k]})" if k in self.position else typical[k]]
            if self.is_shifted(k):
                sums.append(f"SH_{parameter.name.upper()}")
            if k in structure.occasion:
                first = structure.n_random + structure.occasion.index(k) * data.occasions
                sums += [f"OC{o}*ETA({first + o})" for o in range(1, data.occasions + 1)]
            yield from _continued(
                f"{parameter.name.upper()} = {transformed(parameter.transform, ' + '.join(sums))}".upper()
            )

    def _likelihood(self) -> Iterator[str]:
        """Yield prediction, spread, and the observation or the likelihood of each kind of sample."""
        log = self.residual.scale == "log"
        yield f"IPRED = {RESULT.upper() if log else f'EXP({RESULT.upper()})'}"
        yield from to_nonmem(f"w = {spread(self.residual, [self._theta_of(n) for n in self.residual.names], 'ipred')}")
        if not self.data.is_censored:
            yield "Y = IPRED + W*EPS(1)"
            return
        limit = "LOG(LIMIT)" if log else "LIMIT"
        kinds = []
        if self.data.has(RIGHT_CENSORED):
            kinds.append(("CENS.EQ.-1", "PHI((IPRED - DV)/W)"))
        if self.data.has_intervals:
            kinds.append(("CENS.EQ.1.AND.LIMIT.GT.0", f"PHI((DV - IPRED)/W) - PHI(({limit} - IPRED)/W)"))
        kinds.append(("CENS.EQ.1", "PHI((DV - IPRED)/W)"))
        yield "IF (CENS.EQ.0) THEN"
        yield from ("  F_FLAG = 0", "  Y = IPRED + W*EPS(1)")
        for k, (test, likelihood) in enumerate(kinds, start=1):
            yield "ELSE" if k == len(kinds) else f"ELSEIF ({test}) THEN"
            yield from ("  F_FLAG = 1", f"  Y = {likelihood} + {_FLOOR:.0E}")
        yield "ENDIF"

    def _theta(self) -> Iterator[str]:
        """Yield starting values, each with its label."""
        for k, (label, value) in enumerate(self.values.items(), start=1):
            held, kind = label in self.problem.fixed, self.kinds[label]
            number = f"{value if held or abs(value) > _LEAST else _LEAST:.8g}"
            text = f"({number} FIX)"
            if not held:
                text = {"residual": f"(0, {number})", "share": f"(0.001, {number}, 0.999)"}.get(kind, number)
            scale = self.scale(label)
            yield f"$THETA {text:<24}; {k} {label if scale == 'identity' else f'{_SCALES[scale]} {label}'}"

    def _omega(self) -> Iterator[str]:
        """Yield variances, block by block, then those between occasions with SAME."""
        names = self.structure.random_names
        for block, rows, held in self.covariances():
            fix = " FIX" if held else ""
            if len(block) == 1:
                yield f"$OMEGA {rows[0][0]:.8g}{fix} ; IIV_{names[block[0]]}"
                continue
            yield f"$OMEGA BLOCK({len(block)}){fix}"
            for k, row in zip(block, rows, strict=True):
                yield f"  {' '.join(f'{value:.8g}' for value in row)} ; IIV_{names[k]}"
        for name, variance, held in self.occasions():
            yield f"$OMEGA BLOCK(1){' FIX' if held else ''}"
            yield f"  {variance:.8g} ; IOV_{name}"
            yield from ["$OMEGA BLOCK(1) SAME"] * (self.data.occasions - 1)

    def _mix(self) -> Iterator[str]:
        """Yield the shares of the sub-populations."""
        if self.structure.classes == 1:
            return
        later = {number: self._theta_of(f"share_{number}") for number in range(2, self.structure.classes + 1)}
        yield from ("$MIX", f"NSPOP = {self.structure.classes}", f"P(1) = 1 - {' - '.join(later.values())}")
        yield from (f"P({number}) = {share}" for number, share in later.items())
        yield ""


_SCALES = {"log": "ln", "logit": "logit"}


def _wrapped(record: str) -> list[str]:
    """Return a record over several lines, as a record may be."""
    return textwrap.wrap(record, _WIDTH, subsequent_indent="  ", break_long_words=False)


def _continued(statement: str) -> list[str]:
    """Return a statement of abbreviated code over several lines, each but the last with ``&``."""
    lines = textwrap.wrap(statement, _WIDTH, subsequent_indent="    ", break_long_words=False)
    return [*(f"{line} &" for line in lines[:-1]), lines[-1]]
