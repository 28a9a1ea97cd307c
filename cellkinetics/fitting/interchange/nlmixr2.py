"""An R script for nlmixr2: the population model with its ``ini`` and ``model`` blocks, censoring by ``CENS``.

The last lines of the script write what `cellkinetics.fitting.interchange.estimates` reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from cellkinetics.errors import SettingsError
from cellkinetics.fitting.interchange.dataset import DataSet
from cellkinetics.fitting.interchange.equations import RESULT, TIME, curve_formulas
from cellkinetics.fitting.interchange.language import to_r
from cellkinetics.fitting.interchange.layout import Layout
from cellkinetics.fitting.interchange.writer import Writer
from cellkinetics.fitting.pooled.problem import PooledProblem
from cellkinetics.fitting.pooled.structure import FloatArray

SCRIPT = "run1.R"
ESTIMATES = "estimates.csv"
"""What the script writes, and its columns: kind (theta or omega), name, other, value."""
TYPICAL, EFFECT, OCCASION = "t", "eta.", "iov."
"""What stands before a parameter's name in its typical value, its random effect, and that of an occasion."""


def r_script(problem: PooledProblem, x: FloatArray, data: DataSet, *, file: str, seed: int = 0) -> tuple[str, Layout]:
    """Return the script of a population model, and what its parameters are.

    Args:
        problem: model, residual, structure, and what is fixed.
        x: starting values, the flat vector.
        data: the data set that it reads.
        file: name of that data set.
        seed: of the estimation.

    Raises:
        ModelError: for a model whose equations are not known as text.
        SettingsError: for a residual that nlmixr2 does not take with censored samples, or more than two
            sub-populations.
    """
    if problem.residual.kind == "student":
        raise SettingsError(
            f"residual {problem.residual.name} cannot be written for nlmixr2, whose population methods do not take "
            "censored samples under Student's t: export with log-constant"
        )
    if problem.structure.classes > 2:
        raise SettingsError("a mixture of more than two sub-populations cannot be written for nlmixr2")
    writer = _Script(problem, x, data)
    return writer.text(file, seed), writer.layout_of("nlmixr2", 1)


class _Script(Writer):
    """The parts of one script."""

    def text(self, file: str, seed: int) -> str:
        """Return the whole script."""
        ini = [f"    {line}" for line in self._ini()]
        model = [f"    {line}" for line in self._model()]
        lines = [
            f"# {self.model.name}: {self.model.title}",
            "library(nlmixr2)",
            "",
            *self._data(file),
            "",
            "population <- function() {",
            "  ini({",
            *ini,
            "  })",
            "  model({",
            *model,
            "  })",
            "}",
            "",
            f"set.seed({seed + 1})",
            *self._run(),
            "print(fit)",
            "",
            *_LAST_LINES,
        ]
        return "\n".join(lines) + "\n"

    def _data(self, file: str) -> Iterator[str]:
        """Yield how the data are read. A finite LIMIT means something for quantified samples too: there is none."""
        yield f'data <- read.csv("{file}", na.strings = ".")'
        log = self.residual.scale == "log"
        if log:
            yield "data$DV <- data$LNDV"
        if self.data.has_intervals:
            yield f"data$LIMIT <- ifelse(is.na(data$LIMIT), -Inf, {'log(data$LIMIT)' if log else 'data$LIMIT'})"
        if self.structure.occasion:
            yield "data$occ <- data$OCC"

    def _run(self) -> Iterator[str]:
        censored = self.data.is_censored
        if censored:
            yield '# est = "saem" is wrong for censored samples in nlmixr2est up to 7.0.2 (its issues 876, 916)'
        yield f'fit <- nlmixr2(population, data, est = "{"focei" if censored else "saem"}")'

    def _ini(self) -> Iterator[str]:
        """Yield starting values."""
        for label, value in self.values.items():
            number, held, kind = f"{value:.8g}", label in self.problem.fixed, self.kinds[label]
            if kind == "share":
                yield f"share_1 <- {1 - value:.8g}"
                continue
            if kind == "residual" and not held:
                number = f"c(0, {number})"
            name = f"{TYPICAL}{label}" if kind == "typical" else label
            words = {"log": f"  # ln {label}", "logit": f"  # logit {label}"}.get(self.scale(label), "")
            yield f"{name} <- {f'fix({number})' if held else number}{words}"
        for block, rows, held in self.covariances():
            values = ", ".join(f"{value:.8g}" for row in rows for value in row)
            effects = " + ".join(f"{EFFECT}{self.structure.random_names[k]}" for k in block)
            form = "fix" if held else "c" if len(block) > 1 else ""
            yield f"{effects} ~ {f'{form}({values})' if form else values}"
        for name, value, held in self.occasions():
            variance = f"{value:.8g}"
            yield f"{OCCASION}{name} ~ {f'fix({variance})' if held else variance} | occ"

    def _model(self) -> Iterator[str]:
        """Yield individual parameters, the curve and the residual."""
        structure, is_first = self.structure, True
        for k, parameter in enumerate(self.model.parameters):
            sums = [f"{TYPICAL}{parameter.name}"]
            sums += [f"{name}*{column}" for name, column in self.coefficients(k)]
            if k in structure.random:
                sums.append(f"{EFFECT}{parameter.name}")
            if k in structure.occasion:
                sums.append(f"{OCCASION}{parameter.name}")
            function = {"log": "exp", "logit": "expit", "identity": ""}[parameter.transform]
            value = f"{function}({' + '.join(sums)})"
            if self.is_shifted(k):
                second = f"{function}({' + '.join([*sums, f'shift_{parameter.name}_2'])})"
                value = f"mix({value}, {'share_1, ' if is_first else ''}{second})"
                is_first = False
            yield f"{parameter.name} <- {value}"
        yield f"{TIME} <- {'DAY' if self.data.occasions else 't'}"
        yield from to_r(curve_formulas(self.model, max(self.data.windows, 1)))
        kind, sigma = self.residual.kind, self.residual.names
        if self.residual.scale == "log" and kind == "constant":
            yield f"{RESULT} ~ add({sigma[0]})"
            return
        yield f"level <- exp({RESULT})"
        words = {
            "constant": f"add({sigma[0]})",
            "proportional": f"prop({sigma[0]})",
            "combined": f"add({sigma[0]}) + prop({sigma[-1]}) + combined1()",
            "combined-root": f"add({sigma[0]}) + prop({sigma[-1]}) + combined2()",
        }
        yield f"level ~ {words[kind]}"


_LAST_LINES = (
    "# What cellkinetics pool --start reads",
    "fixed <- fit$parFixedDf",
    'estimates <- data.frame(kind = "theta", name = rownames(fixed), other = "", value = fixed$Estimate)',
    "levels <- if (is.list(fit$omega)) fit$omega else list(fit$omega)",
    "for (omega in levels) for (i in seq_len(nrow(omega))) for (j in seq_len(i)) {",
    '  row <- data.frame(kind = "omega", name = rownames(omega)[i], other = colnames(omega)[j], value = omega[i, j])',
    "  estimates <- rbind(estimates, row)",
    "}",
    f'write.csv(estimates, "{ESTIMATES}", row.names = FALSE)',
)
