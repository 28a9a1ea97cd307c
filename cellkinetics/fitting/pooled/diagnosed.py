"""`.vpc()`, `.npde()` and the other diagnostics of a population fit."""

from __future__ import annotations

from typing import Any


class Diagnosed:
    """A fit that is checked by the package's public functions.

    Diagnostics are a layer above, which fits must not know: as for figures (`cellkinetics.drawing.Drawable`) the
    package's table of public names is where the two meet. Options are those of the functions.
    """

    def vpc(self, **options: Any) -> Any:
        """Return visual predictive checks; see `cellkinetics.vpc`."""
        from cellkinetics import vpc

        return vpc(self, **options)

    def npde(self, **options: Any) -> Any:
        """Return normalised prediction distribution errors; see `cellkinetics.npde`."""
        from cellkinetics import npde

        return npde(self, **options)

    def residuals(self, **options: Any) -> Any:
        """Return predictions and weighted residuals; see `cellkinetics.population_residuals`."""
        from cellkinetics import population_residuals

        return population_residuals(self, **options)

    def random_effects(self) -> Any:
        """Return random effects with shrinkage, pairs and covariates; see `cellkinetics.random_effects`."""
        from cellkinetics import random_effects

        return random_effects(self)

    def contributions(self) -> Any:
        """Return each patient's part of -2LL and influence; see `cellkinetics.population_contributions`."""
        from cellkinetics import population_contributions

        return population_contributions(self)

    def search_trace(self) -> Any:
        """Return the way of the search; see `cellkinetics.search_trace`."""
        from cellkinetics import search_trace

        return search_trace(self)

    def profile(self, *parameters: str, **options: Any) -> Any:
        """Return likelihood profiles of population parameters; see `cellkinetics.likelihood_profile`."""
        from cellkinetics import likelihood_profile

        return likelihood_profile(self, *parameters, **options)
