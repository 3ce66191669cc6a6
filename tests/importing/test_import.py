"""``xanes-hpc import``: unique names, properties, options, and the store."""

import json

import h5py
import numpy as np
import pytest
from support.builders import (
    EDGE,
    IRON_OXIDE,
    edge_step,
    frame,
    many_frames,
    run,
    table,
    write,
    write_spectrum,
    write_xyz,
)
from support.stored import stored

from xanes_hpc.importing.from_files import import_structures


def digests(path):
    with h5py.File(path) as file:
        return file.attrs["digest_structures"], file.attrs["digest_spectra"]


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
