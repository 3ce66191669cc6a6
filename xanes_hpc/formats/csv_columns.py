"""Predicted spectra as CSV, for spreadsheets."""

from pathlib import Path

from xanes_hpc.formats.predicted import PredictedSpectrum, rows_of_numbers

SUFFIX = ".csv"


def write(path: Path, predicted: PredictedSpectrum) -> None:
    """Write a predicted spectrum: energies (absolute and from e0), mean, standard deviation,
    ends of the 95 % interval, and any reference."""
    energies = {"energy_ev": predicted.energies}
    if predicted.absolute:
        energies["energy_ev_relative_to_e0"] = predicted.energies - predicted.e0
    else:
        energies = {"energy_ev_relative_to_e0": predicted.energies}
    columns = {**energies, "mean": predicted.mean, "std": predicted.std, **predicted.interval}
    if predicted.reference is not None:
        columns["reference"] = predicted.reference
    header = predicted.header
    warning = f"; not to be trusted: {header['not_to_be_trusted']}" if predicted.distrust else ""
    treated = header.get("treatment_in_full", header["treatment"])
    comment = f"# {header['site']}; e0 {predicted.e0:.6g} eV; treatment {treated}{warning}\n"
    text = comment + ",".join(columns) + "\n" + rows_of_numbers(columns, ",")
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
