"""Which spectra an import gives to which sites."""

import gzip

import numpy as np
import pytest
from support.builders import (
    EDGE,
    TWO_IRONS,
    edge_step,
    fdmnes_header,
    refused,
    table,
    write,
    write_spectrum,
    write_xyz,
)
from support.stored import stored

from xanes_hpc.importing.spectrum_folders import SUFFIXES, TAILS
from xanes_hpc.spectra.spectrum import NO_TREATMENT, treatment_name


@pytest.mark.parametrize("ending", [f"{t}{s}" for s in SUFFIXES if s != ".prj" for t in TAILS])  # projects need Larch
def test_spectrum_files_are_found_by_structure_name(tmp_path, imported, ending):
    write_xyz(tmp_path / "xyz" / "A_Fe(1+).xyz")
    write_spectrum(tmp_path / "mu" / f"A_Fe(1+){ending}")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu")
    assert (summary["sites"], summary["spectra"], summary["unused_spectra"]) == (1, 1, 0)
    assert stored(tmp_path, "spectra/source") == [f"A_Fe(1+){ending}"]


@pytest.mark.parametrize("name", ["A.TXT", "A_CONV.TXT", "A.dat.gz", "A_xanes.CSV.GZ"])
def test_capital_endings_and_compressed_spectra(tmp_path, imported, name):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    text = table(edge_step(), "," if ".CSV" in name else " ")
    path = write(tmp_path / "mu" / name, text)
    if name.lower().endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu")
    assert (summary["spectra"], summary["unused_spectra"]) == (1, 0)
    assert stored(tmp_path, "spectra/source") == [name]


def test_several_spectra_of_one_site(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt", header=fdmnes_header())
    write_spectrum(tmp_path / "mu" / "A_conv.txt", edge_step(n_points=50), "Energy <xanes>\n")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu")
    assert summary["spectra"] == 2
    assert stored(tmp_path, "spectra/site").tolist() == [0, 0]
    assert [treatment_name(t) for t in stored(tmp_path, "spectra/treatment")] == [NO_TREATMENT, "fdmnes-conv"]
    assert stored(tmp_path, "spectra/offsets").tolist() == [0, 76, 126]
    np.testing.assert_allclose(stored(tmp_path, "spectra/energies")[:76], edge_step()[:, 0], atol=0.01)
    assert stored(tmp_path, "spectra/e0_source") == ["file", "xraydb"]


def test_several_folders_of_spectra(tmp_path, imported):
    """A spectrum in any folder is enough; of two, that in the first folder is taken."""
    for name in "ABC":
        write_xyz(tmp_path / "xyz" / f"{name}.xyz")
    for folder, names in (("one", "AB"), ("two", "BC")):
        for name in names:
            write_spectrum(tmp_path / folder / f"{name}.txt")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "one", "--spectra", tmp_path / "two")
    assert (summary["structures"], summary["spectra"]) == (3, 3)
    assert stored(tmp_path, "spectra/site").tolist() == [0, 1, 2]
    taken = {what: item for what, item in summary["choices"].items() if "first was taken" in what}
    assert [(item["count"], item["first"]) for item in taken.values()] == [
        (1, f"{tmp_path}/one/B.txt, not {tmp_path}/two/B.txt")
    ]


@pytest.mark.parametrize("others", [("A.dat", "A.csv"), ("A#0.txt", "A#0.dat"), ("A_xanes.txt",)])
def test_of_several_files_for_a_site_the_first_is_taken(tmp_path, imported, others):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    for n, name in enumerate(("A.txt", *others)):
        write_spectrum(tmp_path / "mu" / name, edge_step(n_points=60 + n))
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu")
    assert stored(tmp_path, "spectra/offsets").tolist() == [0, 60]
    assert sum(item["count"] for what, item in summary["choices"].items() if "first was taken" in what) == len(others)


def test_structure_without_a_spectrum_is_skipped(tmp_path, imported):
    for name in "AB":
        write_xyz(tmp_path / "xyz" / f"{name}.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", skipped=1)
    reason = f"{tmp_path}/xyz/B.xyz: no spectrum for B in {tmp_path}/mu; --keep-unpaired keeps structures without one"
    assert summary["skipped"] == [{"kind": "SpectrumError", "reason": reason}]
    assert stored(tmp_path, "structures/name") == ["A"]


def test_keep_unpaired(tmp_path, imported):
    for name in "AB":
        write_xyz(tmp_path / "xyz" / f"{name}.xyz")
    write_spectrum(tmp_path / "mu" / "B.txt")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", "--keep-unpaired")
    assert (summary["structures"], summary["spectra"]) == (2, 1)
    assert stored(tmp_path, "spectra/site").tolist() == [1]


def test_spectra_without_a_structure_are_counted(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    for name in "ABC":
        write_spectrum(tmp_path / "mu" / f"{name}.txt")
    assert imported(tmp_path / "xyz", "--spectra", tmp_path / "mu")["unused_spectra"] == 2


def test_a_folder_of_spectra_given_twice_counts_once(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt")
    again = tmp_path / "xyz" / ".." / "mu"
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", "--spectra", again)
    assert (summary["spectra"], summary["unused_spectra"]) == (1, 0)


def test_several_sites_of_one_structure(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz", TWO_IRONS)
    for atom, last in ((0, EDGE + 50), (2, EDGE + 70)):
        write_spectrum(tmp_path / "mu" / f"A#{atom}.txt", edge_step(last=last))
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", "--absorber", "Fe")
    assert (summary["structures"], summary["sites"], summary["spectra"]) == (1, 2, 2)
    assert summary["elements"] == {"Fe": 2}
    assert stored(tmp_path, "sites/name") == ["A#0", "A#2"]
    assert stored(tmp_path, "sites/atom").tolist() == [0, 2]
    assert stored(tmp_path, "sites/structure").tolist() == [0, 0]
    energies, offsets = stored(tmp_path, "spectra/energies"), stored(tmp_path, "spectra/offsets")
    assert energies[offsets[1:] - 1].tolist() == [EDGE + 50, EDGE + 70]


def test_a_spectrum_with_the_name_of_a_structure_is_not_used_for_several_sites(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz", TWO_IRONS)
    write_xyz(tmp_path / "xyz" / "B.xyz")
    for name in "AB":
        write_spectrum(tmp_path / "mu" / f"{name}.txt")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", "--absorber", "Fe", skipped=1)
    assert "A has several sites, so name each spectrum after its site (A#0)" in summary["skipped"][0]["reason"]


@pytest.mark.parametrize("paired", [False, True])
def test_a_missing_spectrum_costs_only_its_site(tmp_path, imported, capsys, paired):
    write_xyz(tmp_path / "xyz" / "A.xyz", TWO_IRONS)
    write_spectrum(tmp_path / "mu" / "A#2.txt")
    words = ["--absorber", "Fe", "--spectra", tmp_path / "mu", *(["--only-paired"] if paired else [])]
    summary = imported(tmp_path / "xyz", *words)
    assert (summary["structures"], summary["sites"], summary["spectra"]) == (1, 1 if paired else 2, 1)
    kept = "left out" if paired else "kept"
    told = {"count": 1, "first": "A#0", "details": ["A#0"]}
    assert summary["choices"] == {f"sites without a spectrum were {kept}": told}
    assert stored(tmp_path, "sites/name") == (["A"] if paired else ["A#0", "A#2"])
    assert stored(tmp_path, "sites/atom").tolist() == ([2] if paired else [0, 2])


def test_a_spectrum_that_cannot_be_used_costs_only_its_site(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz", TWO_IRONS)
    write_spectrum(tmp_path / "mu" / "A#0.txt")
    write(tmp_path / "mu" / "A#2.txt", "# k chi\n0 1\n1 2\n")
    summary = imported(tmp_path / "xyz", "--absorber", "Fe", "--spectra", tmp_path / "mu", skipped=1)
    assert (summary["sites"], summary["spectra"]) == (2, 1)
    assert "A#2.txt: expected energies and a spectrum" in summary["skipped"][0]["reason"]


def test_only_paired_needs_spectra(tmp_path, capsys):
    write_xyz(tmp_path / "A.xyz")
    line = refused(capsys, tmp_path, "import", tmp_path / "A.xyz", "--only-paired", "-o", tmp_path / "s.h5")
    assert "--only-paired keeps sites that have a spectrum; give folders of --spectra" in line


@pytest.mark.parametrize("ending", ["#0.txt", "_xanes.dat", "_mine.dat"])
def test_other_names_of_a_spectrum(tmp_path, imported, ending):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    write_spectrum(tmp_path / "mu" / f"A{ending}")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", "--spectra-suffix", "_mine.dat")
    assert (summary["sites"], summary["spectra"]) == (1, 1)


def test_a_second_file_that_cannot_be_used_costs_only_itself(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt")
    write(tmp_path / "mu" / "A.dat", "nothing")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", skipped=1)
    assert summary["spectra"] == 1
    assert summary["skipped"][0]["reason"].startswith(f"{tmp_path}/mu/A.dat")
