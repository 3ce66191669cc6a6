"""Energies in columns: angles of the monochromator, units, and quantities that are no energies."""

import numpy as np
import pytest
from support.builders import write
from support.scans import ENERGY, MU, SCAN, TITLES, holds, scan, told

from xanes_hpc.errors import FormatError
from xanes_hpc.experiment.calculated import read_calculated
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.spectra.edges import IN_KEV

D = 3.1356


@pytest.mark.parametrize(("unit", "title"), [(1.0, "angle"), (1.0, "Bragg_angle(deg)"), (np.pi / 180, "angle(rad)")])
def test_angles_become_energies(tmp_path, unit, title):
    rows = SCAN.copy()
    rows[:, 0] = unit * np.degrees(np.arcsin(12398.419843320026 / (2 * D * ENERGY)))
    path = scan(tmp_path / "a.dat", (title, *TITLES[1:]), rows)
    with pytest.raises(FormatError, match=r"a\.dat: expected energies, received the column .*`d_spacing`"):
        read_spectrum(path)
    found = read_spectrum(path, ReadOptions(d_spacing=D))
    assert holds(found)  # angles descend
    assert "energies were computed from the angle of the monochromator" in told(found)


def test_angles_of_xdi_with_its_own_spacing(tmp_path):
    rows = SCAN[:, :3].copy()
    rows[:, 0] = np.degrees(np.arcsin(12398.419843320026 / (2 * D * ENERGY)))
    items = "".join(f"# Column.{k}: {name}\n" for k, name in enumerate(("angle degrees", "i0", "itrans"), 1))
    text = f"# XDI/1.0\n{items}# Mono.d_spacing: {D} Å\n#---\n" + "".join(
        f"{a:.12g} {b:.12g} {c:.12g}\n" for a, b, c in rows
    )
    assert holds(read_spectrum(write(tmp_path / "a.xdi", text)))
    with pytest.raises(FormatError, match="expected angles between 0 and 90 degrees"):
        read_spectrum(write(tmp_path / "b.xdi", text.replace("angle degrees", "angle radians")))


def test_keV_in_the_title_and_without_a_unit(tmp_path):
    rows = SCAN / [1000.0, 1, 1, 1, 1]
    assert holds(read_spectrum(scan(tmp_path / "a.dat", ("energy_keV", *TITLES[1:]), rows)))
    placed = read_calculated(scan(tmp_path / "b.dat", rows=rows), absorber="Fe").placed
    np.testing.assert_allclose(placed.spectrum.energies, ENERGY)
    assert told(placed.spectrum)[IN_KEV] == "b.dat: from 7.09 to 7.168 keV"


@pytest.mark.parametrize(
    ("titles", "unit"),
    [
        ("Energy(Ry) mu", 13.605693),
        ("E (Hartree) xanes", 27.211386),
        ("energy_Ry mu", 13.605693),
        ("E/keV mu", 1000.0),
        ("Energy Ry mu", 13.605693),
    ],
)
def test_units_in_titles(tmp_path, titles, unit):
    rows = np.column_stack([(ENERGY - 7112.0) / unit, MU])
    found = read_spectrum(scan(tmp_path / "a.dat", (titles,), rows))
    assert holds(found, MU, ENERGY - 7112.0)
    assert ("energies were converted from Ry or hartree" in told(found)) == (unit != 1000.0)


@pytest.mark.parametrize(
    "title", ["energy (cm-1)", "energy_nm", "Energy(J)", "E (Å)", "energy (a.u.)", "E/a.u.", "E (mRy)"]
)
def test_other_units_are_refused(tmp_path, title):
    with pytest.raises(FormatError, match=r"a\.csv: expected energies in eV, keV, Ry or hartree, received"):
        read_spectrum(scan(tmp_path / "a.csv", (title, "mu"), SCAN[:, :2], ","))


@pytest.mark.parametrize(
    "header", ["# k chi\n#---------\n", "# k(A^-1)   mu\n#\n", "# point mu\n", "# index mu\n", "# row mu\n"]
)
def test_what_is_no_energy_above_rules(tmp_path, header):
    text = scan(tmp_path / "a.dat", rows=SCAN[:, :2]).read_text().partition("\n")[2]
    with pytest.raises(FormatError, match=r"a\.dat: expected energies and a spectrum"):
        read_spectrum(write(tmp_path / "a.dat", header + text))


def test_only_angles_are_taken_as_angles(tmp_path):
    rows = "".join(f"{e:.12g} {a:.12g} {b:.12g}\n" for e, a, b in SCAN[:, :3])
    text = "# XDI/1.0\n# Column.1: {}\n# Column.2: i0\n# Column.3: itrans\n# Mono.d_spacing: 3.1356\n#---\n" + rows
    path = write(tmp_path / "a.xdi", text.format("energy_readback eV"))
    assert holds(read_spectrum(path, ReadOptions(("energy_readback", "i0", "itrans"))))
    assert holds(read_spectrum(path, ReadOptions(("1", "2", "3"))))
    assert holds(read_spectrum(write(tmp_path / "b.xdi", text.format("mono eV"))))
    assert holds(read_spectrum(write(tmp_path / "c.xdi", text.format("energy (eV)"))))
    bare = scan(
        tmp_path / "d.dat",
        ("mono", "mu"),
        np.column_stack([np.degrees(np.arcsin(0.5 * 12398.41984332 / D / ENERGY)), MU]),
    )
    assert holds(read_spectrum(bare, ReadOptions(d_spacing=D)))
