"""`cellkinetics models`: the models, their parameters and where they come from."""

from __future__ import annotations


def models() -> None:
    """List the models, their parameters, and the published fits with their sources.

    Example: cellkinetics models
    """
    from cellkinetics.cli.screen import Screen
    from cellkinetics.cli.session import guarded

    screen = Screen()
    with guarded(screen):
        from cellkinetics.models.published import library
        from cellkinetics.models.registry import DYNAMIC_NAMES, can_solve, list_models
        from cellkinetics.units import unit_label

        for model in list_models():
            screen.say(f"{model.name}: {model.title}", style="bold")
            screen.say(f"source: {model.source}")
            rows = [
                [parameter.name, unit_label(parameter.unit), parameter.transform, parameter.meaning]
                for parameter in model.parameters
            ]
            rows += [[derived.name, unit_label(derived.unit), "derived", derived.meaning] for derived in model.derived]
            screen.table("", ["parameter", "unit", "scale", "meaning"], rows, left=4)
        if not can_solve():
            screen.say(f"{', '.join(DYNAMIC_NAMES)}: need the extra ode", style="bold")
            screen.say('differential equations: pip install "cellkinetics[ode]"')
            screen.say()
        for published in library.values():
            screen.say(str(published))
            screen.say()
