"""``xanes-hpc import``: spectra by name, unique names, properties, options, and the store."""

import gzip
import json

import h5py
import numpy as np
import pytest
from support.builders import (
    EDGE,
    IRON_OXIDE,
    TWO_IRONS,
    edge_step,
    fdmnes_header,
    frame,
    many_frames,
    refused,
    run,
    table,
    write,
    write_spectrum,
    write_xyz,
)

from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.spectrum_folders import SUFFIXES, TAILS
from xanes_hpc.spectra.spectrum import NO_TREATMENT, treatment_name


@pytest.fixture
def imported(tmp_path, capsys):
    """Return a function that runs an import and returns its summary."""

    def import_(*arguments, skipped=0):
        capsys.readouterr()
        code = run("import", "--json", *arguments, "-o", tmp_path / "out.h5", "--overwrite")
        printed = capsys.readouterr()
        assert code == 0, printed.err
        summary = json.loads(printed.out)
        assert summary["skipped_count"] == len(summary["skipped"]) == skipped, summary["skipped"]
        return summary

    return import_


def stored(tmp_path, name):
    with h5py.File(tmp_path / "out.h5") as file:
        values = file[name][()]
        if h5py.check_string_dtype(file[name].dtype):
            return [v.decode() for v in values]
        return values


def digests(path):
    with h5py.File(path) as file:
        return file.attrs["digest_structures"], file.attrs["digest_spectra"]


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


def test_progress_within_one_file(tmp_path):
    notes = []
    source = write(tmp_path / "many.xyz.gz", many_frames(250))
    import_structures([source], tmp_path / "out.h5", progress=lambda done, total, note: notes.append((done, note)))
    assert [done for done, _ in notes] == [0, 0, 0, 1]
    assert [note.split()[0] for _, note in notes] == ["0", "100", "200", "250"]


def test_spaces_in_names_and_long_values(tmp_path, capsys):
    source, output = write_xyz(tmp_path / "A.xyz"), tmp_path / ("long " * 30 + ".h5")
    assert run("import", source, "-o", output) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"Next: xanes-hpc featurise '{output}'"
    assert run("info", output) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) > 80


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


def test_sites_table(tmp_path, imported):
    write_xyz(tmp_path / "A.xyz", [("O", 0, 0, 1.6), ("Fe", 0, 0, 0)])
    imported(tmp_path / "A.xyz", "--edge", "l3")
    assert stored(tmp_path, "sites/atom").tolist() == [1]
    assert stored(tmp_path, "sites/element").tolist() == [26]
    assert stored(tmp_path, "sites/edge") == ["L3"]
    assert stored(tmp_path, "sites/weight").tolist() == [1.0]


def test_folders_are_searched_and_other_files_counted(tmp_path, imported):
    write_xyz(tmp_path / "in" / "A.xyz")
    write_xyz(tmp_path / "in" / "deeper" / "B.xyz")
    write_xyz(tmp_path / "in" / ".hidden" / "C.xyz")
    write(tmp_path / "in" / "notes.md", "words")
    summary = imported(tmp_path / "in")
    assert (summary["files"], summary["ignored_files"]) == (2, 1)
    assert stored(tmp_path, "structures/name") == ["A", "B"]


def test_a_second_structure_of_the_same_name_is_skipped(tmp_path, imported):
    write_xyz(tmp_path / "one" / "A.xyz")
    write_xyz(tmp_path / "two" / "A.xyz", [("Fe", 0, 0, 0)])
    summary = imported(tmp_path / "one", tmp_path / "two", skipped=1)
    reason = (
        f"{tmp_path}/two/A.xyz: the name A (or that of a site) is already used; names must be unique: rename the file, "
        "or the folder of a POSCAR"
    )
    assert summary["skipped"] == [{"kind": "FormatError", "reason": reason}]
    assert stored(tmp_path, "structures/offsets").tolist() == [0, 2]


def test_properties_are_kept(tmp_path, imported):
    long = "x" * 200
    write_xyz(tmp_path / "in" / "A(1+).xyz")
    write_xyz(tmp_path / "in" / "B.xyz", comment=f'charge=-2 method="{long}"')
    write_xyz(tmp_path / "in" / "C.xyz", comment="CSD_code = C | q = 0 | S = 1")
    imported(tmp_path / "in")
    np.testing.assert_array_equal(stored(tmp_path, "structures/properties/charge"), [1, -2, 0])
    np.testing.assert_array_equal(stored(tmp_path, "structures/properties/spin"), [np.nan, np.nan, 1])
    assert stored(tmp_path, "structures/properties/method") == ["", long, ""]


def test_text_in_a_numeric_property_is_left_out_and_reported(tmp_path, imported):
    write_xyz(tmp_path / "in" / "A.xyz", comment="charge=1 tag=7")
    write_xyz(tmp_path / "in" / "B.xyz", comment="charge=1 tag=seven")
    summary = imported(tmp_path / "in")
    assert summary["properties_left_out"] == {"tag": 1}
    np.testing.assert_array_equal(stored(tmp_path, "structures/properties/tag"), [7, np.nan])


def test_treatment_option(tmp_path, imported):
    write_xyz(tmp_path / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt")
    summary = imported(tmp_path / "A.xyz", "--spectra", tmp_path / "mu", "--treatment", '{"width": 1.25, "name": "l"}')
    assert summary["treatments"] == {'{"name":"l","width":1.25}': 1}


def test_shift_option(tmp_path, imported):
    write_xyz(tmp_path / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt", edge_step() - [100.0, 0.0])
    summary = imported(tmp_path / "A.xyz", "--spectra", tmp_path / "mu", "--shift", "100", "--e0", "7113")
    assert summary["e0_sources"] == {"given": 1}
    assert stored(tmp_path, "spectra/shift").tolist() == [100.0]
    assert stored(tmp_path, "spectra/e0").tolist() == [7113.0]
    assert stored(tmp_path, "spectra/energies")[0] == EDGE - 115


def test_digests(tmp_path, imported):
    """The digests of structures and of spectra are independent; compression and skipped structures do not matter."""
    out = tmp_path / "out.h5"
    write(tmp_path / "a" / "A.xyz.gz", frame())
    imported(tmp_path / "a")
    bare = digests(out)
    write_xyz(tmp_path / "b" / "A.xyz")
    write_xyz(tmp_path / "b" / "B.xyz", [("C", 0, 0, 0)])
    write_spectrum(tmp_path / "mu" / "A.txt")
    imported(tmp_path / "b", "--spectra", tmp_path / "mu", skipped=1)
    paired = digests(out)
    assert paired[0] == bare[0]
    assert paired[1] != bare[1]
    write_xyz(tmp_path / "b" / "A.xyz", [*IRON_OXIDE[:1], ("O", 0, 0, 1.6000001)])
    imported(tmp_path / "b", "--spectra", tmp_path / "mu", skipped=1)
    moved = digests(out)
    assert moved[0] != bare[0]
    assert moved[1] == paired[1]


def test_equal_imports_make_equal_stores(tmp_path, imported):
    """Compare datasets and attributes, because HDF5's headers contain times."""
    source = write(tmp_path / "many.xyz.gz", many_frames(50))
    imported(source)
    first = whole(tmp_path / "out.h5")
    imported(source)
    assert whole(tmp_path / "out.h5") == first
    assert len(first) > 20


def whole(path):
    values = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: values.update({name: [*node.attrs.items()]}))
        for name in [n for n in values if isinstance(file[n], h5py.Dataset)]:
            values[name] += [str(file[name].dtype), file[name].shape, file[name][()].tobytes()]
        return values | {"": [*file.attrs.items()]}


def test_a_structure_with_the_name_of_a_site_is_skipped(tmp_path, imported):
    write_xyz(tmp_path / "x" / "A.xyz", [("Fe", 0, 0, 0), ("O", 0, 0, 1.9), ("Fe", 0, 0, 3.8)])
    write_xyz(tmp_path / "x" / "A#2.xyz")
    summary = imported(tmp_path / "x", "--absorber", "Fe", skipped=1)
    assert summary["structures"] == 1
    assert "the name A (or that of a site) is already used" in summary["skipped"][0]["reason"]


def test_a_file_name_that_is_not_utf8_is_skipped_and_reported(tmp_path):
    folder = tmp_path / "x"
    write_xyz(folder / "ok.xyz")
    (folder / "ok.xyz").with_name("caf\udce9.xyz").write_bytes((folder / "ok.xyz").read_bytes())
    assert run("import", folder, "-o", tmp_path / "o.h5", "--json", tmp_path / "o.json") == 0
    summary = json.loads((tmp_path / "o.json").read_text())
    assert (summary["structures"], summary["skipped_count"]) == (1, 1)


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


def test_json_lists_every_choice(tmp_path, imported):
    for name in "AB":
        write_xyz(tmp_path / "xyz" / f"{name}.xyz")
        rows = np.column_stack([edge_step(), edge_step()[:, 1]])
        write(tmp_path / "mu" / f"{name}.dat", "# energy mu norm\n" + table(rows))
    (told,) = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu")["choices"].values()
    assert [detail[:5] for detail in told["details"]] == ["A.dat", "B.dat"]


@pytest.mark.parametrize(
    "options",
    [
        ["--layout", "lightshow", "--absorber", "Fe"],
        ["--layout", "lightshow", "--spectra", "mu"],
        ["--layout", "lightshow", "--mu", "transmission"],
        ["--spectra", "mu", "--keep-unpaired", "--only-paired"],
        ["--spectra-suffix", "_a.dat"],
        ["--columns", "1,2"],
        ["--mu", "transmission"],
        ["--d-spacing", "3.1"],
        ["--shift", "1"],
    ],
)
def test_options_without_effect_are_refused(tmp_path, capsys, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    write_xyz(tmp_path / "xyz" / "A.xyz")
    (tmp_path / "mu").mkdir()
    assert run("import", "xyz", *options, "-o", "s.h5") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert any(option in message for option in options if option.startswith("--"))
    assert not (tmp_path / "s.h5").exists()


def test_a_second_file_that_cannot_be_used_costs_only_itself(tmp_path, imported):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A.txt")
    write(tmp_path / "mu" / "A.dat", "nothing")
    summary = imported(tmp_path / "xyz", "--spectra", tmp_path / "mu", skipped=1)
    assert summary["spectra"] == 1
    assert summary["skipped"][0]["reason"].startswith(f"{tmp_path}/mu/A.dat")
