"""Bad input on the command line: one line that names the file and what to do, exit code 2, nothing left behind."""

import os
import shutil

import h5py
import numpy as np
import pytest
from support.builders import (
    ERROR,
    IRON_OXIDE,
    OLD,
    TWO_IRONS,
    edge_step,
    fdmnes_header,
    frame,
    many_frames,
    old_store,
    refused,
    run,
    table,
    write,
    write_spectrum,
    write_xyz,
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with a structure store ``s.h5`` and a feature store ``f.h5``; copy them to change them."""
    folder = tmp_path_factory.mktemp("stores")
    source = write(folder / "in.xyz", many_frames(40))
    assert run("import", source, "-o", folder / "s.h5") == 0
    assert run("featurise", folder / "s.h5", "--preset", "xanesnet-49", "-o", folder / "f.h5") == 0
    return folder


@pytest.fixture
def refused_import(tmp_path, capsys):
    """Return the error of a refused import, with and without an existing output."""

    def import_(*arguments):
        folder = tmp_path / "outputs"
        folder.mkdir()
        first = refused(capsys, tmp_path, "import", *arguments, "-o", folder / "out.h5")
        (folder / "out.h5").write_bytes(OLD)
        second = refused(capsys, tmp_path, "import", *arguments, "-o", folder / "out.h5", "--overwrite")
        assert first == second
        return first

    return import_


@pytest.fixture
def refused_featurise(tmp_path, capsys):
    """Return the error of a refused featurise, with and without an existing output."""

    def featurise(source, *options):
        output = tmp_path / "out.h5"
        arguments = ("featurise", source, "--preset", "xanesnet-49", "-o", output, *options)
        first = refused(capsys, tmp_path, *arguments)
        output.write_bytes(OLD)
        assert refused(capsys, tmp_path, *arguments, "--overwrite") == first
        return first

    return featurise


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("3\n\nFe 0 0 0\n", "truncated: line 1 announces 3 atoms, the file ends after 1"),
        ("1\n\nFe 0 0 0\nO 0 0 1.6\n", "line 4: expected another frame's atom count or the end"),
        (frame([*IRON_OXIDE, ()]) + frame(), "line 5: line 1 announces 3 atoms, received a blank line"),
        (frame([("Fe", 0, 0, 0), ("Qq", 0, 0, 1.6)]), "line 4: unknown element 'Qq'"),
        (frame([("Fe", 0, 0, 0), ("O", 0, 0, "nan")]), "atom 1: expected finite coordinates"),
        (frame([("Fe", 0, 0, 0), ("O", 0, "-inf", 0)]), "atom 1: expected finite coordinates"),
        (
            frame([("Fe", 0, 0, 0), ("O", 1, 1, 1), ("N", 1, 1, 1)]),
            "a: atoms 1 and 2 coincide: they are 0.000 Å apart",
        ),
        (frame([("Fe", 0, 0, 0), ("O", 0, 0, 1e9)]), "a: expected coordinates within ±1,000,000 Å, received 1e+09"),
        (frame([("Fe", 0, 0, 0), ("O", 0, 0, 0.05)]), "a: atoms 0 and 1 coincide: they are 0.050 Å apart"),
        (
            frame([("C", 0, 0, 0)]),
            "expected exactly one transition metal as the absorber, found 0 in C; choose",
        ),
        (
            frame(TWO_IRONS),
            "expected exactly one transition metal as the absorber, found 2: Fe (atom 0), Fe (atom 2)",
        ),
    ],
)
def test_structure_files(tmp_path, refused_import, text, message):
    path = write(tmp_path / "a.xyz", text)
    assert refused_import(path).startswith(f"{path}: {message}")


def test_a_structure_in_a_file_of_many_is_named(tmp_path, refused_import):
    path = write(tmp_path / "a.xyz", many_frames(2) + frame(TWO_IRONS))
    line = refused_import(path, "--strict")
    assert line.startswith(f"{path}: a@2: expected exactly one transition metal as the absorber, found 2")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("Cu", "absorber 'Cu': no such atom in FeO"),
        ("2", "absorber 2: no such atom; expected an atom index from 0 to 1 in FeO"),
        ("--5", "absorber '--5': expected first, transition-metals, all, an element"),
    ],
)
def test_absorber_rules(tmp_path, refused_import, rule, message):
    path = write_xyz(tmp_path / "a.xyz")
    assert refused_import(path, f"--absorber={rule}").startswith(f"{path}: {message}")


NAN, UNSORTED, TWO_SCANS = edge_step(), edge_step()[::-1], np.concatenate([edge_step(), edge_step()])
NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table(NAN), "expected finite numbers, received 7100 nan at point 3"),
        (table(TWO_SCANS), "energies go back from 7172 to 7097 eV; expected a single scan"),
        (fdmnes_header() + table(UNSORTED), "unsorted energies: expected ascending energies, received 7172 then 7171"),
        (table(edge_step() * [1, 0]), "all intensities are zero"),
        (table(edge_step(n_points=4)), "expected at least 5 points, received 4"),
        (
            table(edge_step(7297, 7372)),
            "e0 = 7112 eV (xraydb) lies outside the spectrum's range, 7297 to 7372 eV; --",
        ),
        ("words\n", "no row of two or more numbers"),
        ("", "empty file"),
    ],
)
def test_spectrum_files(tmp_path, refused_import, text, message):
    structure = write_xyz(tmp_path / "a.xyz")
    spectrum = write(tmp_path / "mu" / "a.txt", text)
    line = refused_import(structure, "--spectra", tmp_path / "mu")
    assert line.startswith(f"{structure}: {spectrum}: {message}")


def test_a_structure_without_a_spectrum(tmp_path, refused_import):
    path = write_xyz(tmp_path / "a.xyz")
    (tmp_path / "mu").mkdir()
    line = refused_import(path, "--spectra", tmp_path / "mu")
    why = f"no spectrum for a in {tmp_path}/mu; --keep-unpaired keeps structures without one"
    assert line == f"{path}: {why}; {tmp_path}/mu is empty"


def test_the_suggested_shift_works(tmp_path, capsys, refused_import):
    path = write_xyz(tmp_path / "a.xyz")
    write_spectrum(tmp_path / "mu" / "a.txt", edge_step() - [150.0, 0.0])
    line = refused_import(path, "--spectra", tmp_path / "mu")
    suggested = line.split("; ")[1].split()[:2]
    assert suggested[0] == "--shift"
    assert run("import", path, "--spectra", tmp_path / "mu", "-o", tmp_path / "out.h5", *suggested) == 0
    assert "skipped     0" in capsys.readouterr().out


def test_strict_stops_at_the_first(tmp_path, refused_import):
    write_xyz(tmp_path / "in" / "a.xyz")
    path = write_xyz(tmp_path / "in" / "b.xyz", [("C", 0, 0, 0)])
    assert refused_import(tmp_path / "in", "--strict").startswith(f"{path}: expected exactly one transition metal")


def test_no_usable_structure(tmp_path, refused_import):
    for name in "ab":
        write_xyz(tmp_path / "in" / f"{name}.xyz", [("C", 0, 0, 0)])
    line = refused_import(tmp_path / "in")
    assert line.startswith("nothing imported: all 2 structures were skipped: expected exactly one ")
    assert f": 2 (first: {tmp_path}/in/a.xyz: expected" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.xyz"], "none.xyz: no such file or folder"),
        (["empty"], "empty: no structure files found; expected XYZ"),
        ([], "no source given; expected structure files or folders"),
        (["a.xyz", "--spectra", "none"], "none: expected a folder of spectra, found nothing"),
        (["a.xyz", "--spectra", "a.xyz"], "a.xyz: expected a folder of spectra, found a file"),
        (["a.xyz", "--edge", "Q7"], "edge 'Q7': expected one of K, L1"),
        (["a.xyz", "--e0", "nan"], "--e0: expected a finite energy in eV, received nan"),
        (["a.xyz", "--shift", "inf"], "--shift: expected a finite energy in eV, received inf"),
        (["a.xyz", "--treatment", "{}"], "--treatment '{}': expected none, a name, or JSON with a name"),
    ],
)
def test_arguments_of_import(tmp_path, monkeypatch, refused_import, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_xyz(tmp_path / "a.xyz")
    (tmp_path / "empty").mkdir()
    assert refused_import(*arguments).startswith(message)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that opens but cannot be read")
def test_unreadable_files(tmp_path, refused_import, refused_featurise):
    (tmp_path / "a.xyz").symlink_to("/proc/self/mem")
    assert refused_import(tmp_path / "a.xyz") == f"{tmp_path}/a.xyz: cannot be read: input/output error"
    (tmp_path / "a.h5").symlink_to("/proc/self/mem")
    assert refused_featurise(tmp_path / "a.h5") == f"{tmp_path}/a.h5: input/output error"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_files_without_permission(tmp_path, capsys, stores):
    structure = write_xyz(tmp_path / "a.xyz")
    store = tmp_path / "s.h5"
    shutil.copy(stores / "s.h5", store)
    for command, path, reason in (("import", structure, "cannot be read: "), ("featurise", store, "")):
        path.chmod(0)
        capsys.readouterr()
        assert run(command, path, "-o", tmp_path / "out.h5") == 2
        assert capsys.readouterr().err == f"{ERROR}{path}: {reason}permission denied\n"
    assert {p.name for p in tmp_path.iterdir()} == {"a.xyz", "s.h5"}


def test_output_that_exists(tmp_path, capsys, stores):
    path = write_xyz(tmp_path / "a.xyz")
    for command, source in (("import", path), ("featurise", stores / "s.h5")):
        output = old_store(tmp_path / f"{command}.h5")
        line = refused(capsys, tmp_path, command, source, "-o", output)
        assert line == f"{output}: already exists; name another output, or replace it with --overwrite"


def test_output_folder_that_is_missing(tmp_path, capsys, stores):
    path = write_xyz(tmp_path / "a.xyz")
    for command, source in (("import", path), ("featurise", stores / "s.h5")):
        line = refused(capsys, tmp_path, command, source, "-o", tmp_path / "none" / "out.h5")
        assert line == f"{tmp_path}/none: no such folder for the output out.h5"


def test_output_that_is_a_folder(tmp_path, capsys, stores):
    path = write_xyz(tmp_path / "a.xyz")
    (tmp_path / "out.h5").mkdir()
    for command, source in (("import", path), ("featurise", stores / "s.h5")):
        line = refused(capsys, tmp_path, command, source, "-o", tmp_path / "out.h5", "--overwrite")
        assert line.startswith(f"{tmp_path}/out.h5: ")
        assert "folder" in line


def test_output_that_is_an_input_of_the_import(tmp_path, capsys):
    structure, spectrum = write_xyz(tmp_path / "x" / "a.xyz"), write_spectrum(tmp_path / "s" / "a.txt")
    for output in (structure, spectrum):
        arguments = ("import", tmp_path / "x", "--spectra", tmp_path / "s", "-o", output, "--overwrite")
        line = refused(capsys, tmp_path, *arguments)
        assert line == f"{output}: is one of the inputs; name another output"


def test_missing_store(tmp_path, refused_featurise):
    assert refused_featurise(tmp_path / "none.h5") == f"{tmp_path}/none.h5: no such file"


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "empty file, expected HDF5"), (b"PK", "not an HDF5 file"), (frame().encode(), "not an HDF5 file")],
)
def test_not_hdf5(tmp_path, refused_featurise, data, message):
    path = tmp_path / "s.h5"
    path.write_bytes(data)
    assert refused_featurise(path) == f"{path}: {message}"


@pytest.mark.parametrize("kept", [9, 100, 2000, 0.5, 0.99])
def test_truncated_hdf5(tmp_path, stores, refused_featurise, kept):
    whole = (stores / "s.h5").read_bytes()
    path = tmp_path / "s.h5"
    path.write_bytes(whole[: kept if kept > 1 else int(kept * len(whole))])
    line = refused_featurise(path)
    assert line.startswith(f"{path}: ")
    assert "truncated HDF5 file; copy or create it again" in line or "damaged HDF5 file" in line


def test_hdf5_of_another_program(tmp_path, refused_featurise):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"] = [1.0]
    line = refused_featurise(tmp_path / "s.h5")
    assert line.startswith(f"{tmp_path}/s.h5: an HDF5 file, but not a store of xanes-hpc")


def test_store_of_another_kind(stores, refused_featurise):
    line = refused_featurise(stores / "f.h5")
    assert line == f"{stores}/f.h5: expected a structure store, received a feature store"


def test_newer_schema(tmp_path, stores, refused_featurise):
    shutil.copy(stores / "s.h5", tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        newest = int(file.attrs["schema_version"])
        file.attrs.modify("schema_version", newest + 1)
        file.attrs["creator"] = "xanes-hpc 99.0"
    line = refused_featurise(tmp_path / "s.h5")
    assert line.startswith(f"{tmp_path}/s.h5: structure store of schema {newest + 1}, written by xanes-hpc 99.0")
    assert line.endswith(f"this program reads up to schema {newest}: upgrade it")


def test_damaged_data(tmp_path, stores, refused_featurise):
    """The checksum detects a flipped bit in the positions."""
    path = tmp_path / "s.h5"
    shutil.copy(stores / "s.h5", path)
    with h5py.File(path) as file:
        offset = file["atoms/positions"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as stream:
        stream.seek(offset + 40)
        byte = stream.read(1)[0]
        stream.seek(offset + 40)
        stream.write(bytes([byte ^ 1]))
    assert refused_featurise(path).startswith(f"{path}: damaged data (")


@pytest.mark.parametrize("name", ["\0key", "a\0b", ".", "a/b"])
def test_property_names_that_hdf5_cannot_store_are_left_out(tmp_path, name):
    path = write(tmp_path / "a.xyz", frame(comment=f"{name}=1.5 other=2.5"))
    assert run("import", path, "-o", tmp_path / "s.h5") == 0
    with h5py.File(tmp_path / "s.h5") as file:
        assert list(file["structures/properties"]) == ["other"]
