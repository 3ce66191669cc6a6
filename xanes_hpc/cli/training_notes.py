"""What ``train`` says beside its figures: what makes them, or the uncertainty, look better than they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xanes_hpc.config.sections import RunConfig
    from xanes_hpc.models.model import Model

FEW_TO_CALIBRATE = 30
"""Number of calibration sites below which sigma is only a rough estimate."""


def notes(model: "Model", tested: Sequence["Model"], run: "RunConfig") -> Iterator[str]:
    """Yield what to keep in mind about the model of a run, and about the figures of its test sites.

    Parameters
    ----------
    model
        The model to predict with.
    tested
        The models whose test sites the figures are of: the same, or those of all folds.
    run
        The configuration.
    """
    from xanes_hpc.models.folder import architecture_of

    sites = [own.training_sites for own in tested]
    n_calibrated = model.calibration.n_sites
    can_fold = run.split.file is None and run.split.folds is None and len(run.features) < 2
    advice = "; --folds 5 calibrates on all sites" if can_fold else ""
    if not n_calibrated:
        n_sites = model.training_sites.count("calibration")
        yield (
            f"sigma is not calibrated (calibration sites: {n_sites:,}); it is the raw spread of the draws, which is "
            f"far too narrow{advice}"
        )
    elif n_calibrated < FEW_TO_CALIBRATE:
        yield f"sigma was calibrated on only {n_calibrated} sites; it is a rough estimate{advice}"
    if model.trust.get("threshold") is None:
        yield "predictions cannot be flagged as unlike the training set: there were no held-out sites to set the limit"
    group, alone = model.description["provenance"]["split"]["group"], sites[0].n_alone
    if group == "formula" and alone["formula"]:
        yield (
            f"{alone['formula']:,} sites have neither structure nor formula, so each is a group of its own; errors are "
            "too low if near-duplicates are in different sets; --group cluster keeps these together"
        )
    if group == "code" and alone["code"]:
        yield (
            f"the names of {alone['code']:,} sites have no CSD code, so each structure is a group of its own; errors "
            "are too low if near-duplicates are in different sets; --group formula keeps these together"
        )
    if n_known := sum(own.n_tested_known_earlier for own in sites):
        n_tested = sum(own.count("test") for own in sites)
        yield (
            f"the model to start from was trained on {n_known:,} of the {n_tested:,} test sites, or on sites with the "
            "same CSD code or formula; errors on these are too low"
        )
    started_from = run.transfer.model and architecture_of(Path(run.transfer.model))["name"]
    if started_from not in (None, run.model.name):
        yield (
            f"{run.transfer.model} has the architecture {started_from}, this model {run.model.name}: layers with the "
            "same name and shape took its weights, even if they serve another purpose"
        )
