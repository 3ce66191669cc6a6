"""Predicted spectra as CSV, for spreadsheets."""

from pathlib import Path

from xanes_hpc.formats.predicted import PredictedSpectrum, rows_of_numbers
from xanes_hpc.records import treatment_name

SUFFIX = ".csv"


def write(path: Path, predicted: PredictedSpectrum) -> None:
    """Write a predicted spectrum: energies, absolute and from e0, mean, standard deviation, and the reference."""
    energies = {"energy_ev": predicted.energies}
    if predicted.absolute:
        energies["energy_ev_relative_to_e0"] = predicted.energies - predicted.e0
    else:
        energies = {"energy_ev_relative_to_e0": predicted.energies}
    columns = {**energies, "mean": predicted.mean, "std": predicted.std}
    if predicted.reference is not None:
        columns["reference"] = predicted.reference
    warning = f"; not to be trusted: {predicted.distrust}" if predicted.distrust else ""
    comment = (
        f"# {predicted.site}; e0 {predicted.e0:.6g} eV; treatment {treatment_name(predicted.treatment)}{warning}\n"
    )
    text = comment + ",".join(columns) + "\n" + rows_of_numbers(columns, ",")
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
