"""Options of ``pool --method bayes``: chains, draws and priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cellkinetics.cli.pairs import parse_pairs
from cellkinetics.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellkinetics.fitting.pooled.bayes import Sampling

BAYES = "Method bayes"

Chains = Annotated[int | None, typer.Option(help="Chains. [default: 4]", rich_help_panel=BAYES)]
Draws = Annotated[int | None, typer.Option(help="Draws of each chain. [default: 1000]", rich_help_panel=BAYES)]
Warmup = Annotated[
    int | None, typer.Option(help="Iterations of each chain before its draws. [default: 300]", rich_help_panel=BAYES)
]
Priors = Annotated[
    list[str] | None,
    typer.Option(
        "--prior",
        help="Prior: of a typical value its middle and its SD on the scale of the random effects (cmax=24000,0.5), of "
        "an SD the scale of a half-normal (omega_cmax=0.5), lkj=2. Repeat it for several.",
        metavar="NAME=VALUE[,SD]",
        rich_help_panel=BAYES,
    ),
]


def sampling_of(
    method: str, chains: int | None, warmup: int | None, draws: int | None, priors: Sequence[str] | None
) -> Sampling | None:
    """Return how a posterior is drawn from; None for another method.

    Raises:
        SettingsError: for such an option with another method, or one that makes no sense.
    """
    given = {"chains": chains, "warmup": warmup, "draws": draws}
    asked = [f"--{name}" for name, value in given.items() if value is not None] + (["--prior"] if priors else [])
    if method != "bayes":
        if asked:
            raise SettingsError(f"{asked[0]} belongs to --method bayes, and the method is {method}")
        return None
    from cellkinetics.fitting.pooled.bayes import Sampling

    named = {name: value for name, value in given.items() if value is not None}
    return Sampling(**named, priors=_priors(priors))


def _priors(items: Sequence[str] | None) -> dict[str, float | tuple[float, float]]:
    found: dict[str, float | tuple[float, float]] = {}
    for name, text in parse_pairs("--prior", items, form="NAME=VALUE[,SD]", example="cmax=24000,0.5").items():
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2):
            raise SettingsError(f"--prior {name}={text}: write NAME=VALUE,SD or NAME=SCALE, as in cmax=24000,0.5")
        found[name] = numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
    return found
