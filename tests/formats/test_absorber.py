"""What files say of their absorber, edge and energies, in other spellings than XDI's."""

import numpy as np
import pytest
from support.builders import write
from support.scans import ENERGY, MU

from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.absorber import edge_of, element_of


def xdi(path, items="", energy="energy eV", energies=ENERGY):
    rows = "".join(f"{e:.10g} {m:.10g}\n" for e, m in zip(energies, MU, strict=True))
    return write(path, f"# XDI/1.0\n# Column.1: {energy}\n# Column.2: mu\n{items}#---\n{rows}")


@pytest.mark.parametrize(
    ("text", "element"),
    [("Cu", 29), ("cu", 29), ("Copper", 29), ("29", 29), ("sulphur", 16), ("Aluminum", 13), ("0", None), ("X", None)],
)
def test_elements(text, element):
    assert element_of(text) == element


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        *(("K", "K"), ("k-edge", "K"), ("LIII", "L3"), ("L-III", "L3"), ("L3 edge", "L3"), ("L II,III", "L23")),
        *(("L", "L"), ("MV", "M5"), ("MIV,V", "M45"), ("2p3/2", "L3"), ("L9", None), ("white line", None), ("", None)),
    ],
)
def test_edges(text, edge):
    assert edge_of(text) == edge


def test_xdi_in_other_spellings(tmp_path):
    found = read_spectrum(xdi(tmp_path / "a.xdi", "# Element.symbol: Iron\n# Element.edge: K edge\n"))
    assert (found.element, found.edge, found.choices) == (26, "K", ())
    found = read_spectrum(xdi(tmp_path / "b.xdi", "# Element.symbol: Foil\n# Element.edge: K1\n"))
    assert (found.element, found.edge) == (None, None)
    assert found.choices == (("elements or edges in files were not understood, and ignored", "b.xdi: 'Foil', 'K1'"),)


@pytest.mark.parametrize(
    "header",
    [
        "# Element.symbol: Cu\n# Element.edge: K\n# energy norm\n",
        "# Element: Cu   Edge: K\n# energy norm\n",
        "# Element = 29; edge = K-edge\n#---\n",
    ],
)
def test_files_that_are_not_xdi(tmp_path, header):
    rows = "".join(f"{e} {m}\n" for e, m in zip(ENERGY, MU, strict=True))
    found = read_spectrum(write(tmp_path / "a.nor", header + rows))
    assert (found.element, found.edge, found.choices) == (29, "K", ())
    found = read_spectrum(write(tmp_path / "b.dat", f"# Edge: 7112.0\n# Element.reference: Cu\n{rows}"))
    assert (found.element, found.edge, found.choices) == (None, None, ())


def test_energies_in_units_that_xdi_does_not_state(tmp_path):
    iron = "# Element.symbol: Fe\n# Element.edge: K\n"
    found = read_spectrum(xdi(tmp_path / "a.xdi", f"{iron}# Scan.edge_energy: 7.112\n"))
    assert found.e_edge == pytest.approx(7112.0)
    assert found.choices == (("edge energies without a unit were taken as keV", "a.xdi: 7.112"),)
    found = read_spectrum(xdi(tmp_path / "b.xdi", iron, energies=ENERGY / 1000.0))
    np.testing.assert_allclose(found.energies, ENERGY)
    assert found.choices == (("energies that a file says are in eV were taken as keV", "b.xdi: from 7.09 to 7.168"),)
    found = read_spectrum(xdi(tmp_path / "c.xdi", iron, energies=ENERGY - 7112.0))
    assert (found.energies[0], found.choices) == (-22.0, ())


@pytest.mark.parametrize("spacing", ["3.1356", "3.1356 Å", "0.31356 nm", "313.56 pm || PV:d"])
def test_units_of_the_lattice_spacing(tmp_path, spacing):
    angles = np.degrees(np.arcsin(12398.41984332 / (2 * 3.1356 * ENERGY)))
    path = xdi(tmp_path / "a.xdi", f"# Mono.d_spacing: {spacing}\n", "angle degrees", angles)
    np.testing.assert_allclose(read_spectrum(path).energies, ENERGY, rtol=1e-8)


@pytest.mark.parametrize(
    "line", ["Edge: Zn K", "Zn K-edge", "Absorber: Zn   Edge: K", "Zn K edge", "absorbing atom = Zn; edge = K"]
)
def test_element_and_edge_in_one_line(tmp_path, line):
    rows = "".join(f"{e:.2f} {k}\n" for k, e in enumerate(ENERGY))
    found = read_spectrum(write(tmp_path / "a.dat", f"# {line}\n# energy mu\n{rows}"))
    assert (found.element, found.edge, found.choices) == (30, "K", ())


@pytest.mark.parametrize("line", ["Zn K", "I K edge of my foil", "energy mu"])
def test_lines_that_name_no_absorber(tmp_path, line):
    rows = "".join(f"{e:.2f} {k}\n" for k, e in enumerate(ENERGY))
    found = read_spectrum(write(tmp_path / "a.dat", f"# {line}\n# energy mu\n{rows}"))
    assert (found.element, found.edge) == (None, None)
