"""Invalid files of features and spectra, or options: a one-line error, and nothing is left behind."""

import zipfile
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from support.builders import feature_arrays, refused, write, write_npz, write_xyz

from xanes_hpc import descriptors
from xanes_hpc.errors import FormatError
from xanes_hpc.formats import npz

NAN, INF = float("nan"), float("inf")
FLOAT64, SHAPE = np.dtype(np.float64), ("rows", "columns")
NO_ARRAYS = "expected arrays x (features) and y (spectra), received"
NOT_FINITE = "expected a finite number (float64), received"
OPTIONS = ("--element", "V", "--preset", "xanesnet-49")
RANGE = "--energies=-15:60"


def changed(name, where, value):
    """Return arrays with some values changed."""
    made = feature_arrays()
    made[name][where] = value
    return made


@pytest.fixture
def save(tmp_path):
    """Writes ``set_v.npz``."""
    return partial(write_npz, tmp_path / "set_v.npz")


@pytest.fixture
def refused_import(tmp_path, capsys):
    """Return the error of a refused import, which is the same with and without an old output."""

    def import_(source, *options):
        output = tmp_path / "out.h5"
        first = refused(capsys, tmp_path, "import", source, *options, "-o", output)
        output.write_bytes(b"an old output")
        assert refused(capsys, tmp_path, "import", source, *options, "-o", output, "--overwrite") == first
        return first

    return import_


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, f"{NO_ARRAYS} none"),
        ({"X": np.ones((2, 2)), "y": np.ones((2, 2))}, f"{NO_ARRAYS} 'X', 'y'"),
        ({f"a{i}": 0 for i in range(9)}, f"{NO_ARRAYS} 'a0', "),
        (feature_arrays(x=np.ones((6, 49), int)), "array x: expected float32 or float64, received int64"),
        (feature_arrays(y=np.ones((6, 16), "f2")), "array y: expected float32 or float64, received float16"),
        (feature_arrays(y=np.ones((6, 16), complex)), "array y: expected float32 or float64, received complex128"),
        (feature_arrays(x=np.array([{}])), "array x: expected numbers or text, received Python objects (dtype object)"),
        (feature_arrays(x=np.ones(49)), "array x: expected shape (n_sites, n_features), received (49,)"),
        (feature_arrays(y=np.ones((6, 16, 1))), "array y: expected shape (n_sites, n_energies), received (6, 16, 1)"),
        (feature_arrays(0), "array x: expected shape (n_sites, n_features), received (0, 49)"),
        (feature_arrays(y=np.ones((6, 0))), "array y: expected shape (n_sites, n_energies), received (6, 0)"),
        (feature_arrays(y=np.ones((5, 16))), "expected as many rows in y as in x, received 5 and 6"),
        (changed("x", (4, 7), NAN), f"array x, row 4, column 7: {NOT_FINITE} nan"),
        (changed("y", ([5, 2], 3), -INF), f"array y, row 2, column 3: {NOT_FINITE} -inf"),
        (changed("y", 3, 0.0), "array y, row 3: all intensities are zero"),
        (feature_arrays(x=np.ones((6, 48))), "array x: expected 49 features of the descriptor wacsf, received 48"),
        (feature_arrays(y=np.ones((6, 4))), "expected at least 5 points, received 4"),
    ],
)  # fmt: skip
def test_arrays(save, refused_import, values, message):
    path = save(values)
    assert refused_import(path, *OPTIONS, RANGE).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        (None, "has no energies (array e); set --energies: START:STOP in eV, ascending, such as -15:60"),
        (np.arange(15.0), "expected as many energies in e as y has columns, received 15 and 16"),
        (np.ones((6, 16)), "array e: expected shape (n_energies), received (6, 16)"),
        (np.arange(16), "array e: expected float32 or float64, received int64"),
        (np.full(16, NAN), f"array e, row 0: {NOT_FINITE} nan"),
        (np.arange(0.0, -16.0, -1.0), "unsorted energies: expected ascending energies, received 0 then -1 eV"),
        (np.arange(5.0, 21.0), "e0 = 5465 eV (xraydb) lies outside the spectrum's range, 5470 to 5485 eV; its energies "
         "seem to be relative to e0; if they are not, check --element and --edge or give --e0"),
    ],
)  # fmt: skip
def test_energies(save, refused_import, energies, message):
    path = save(feature_arrays() if energies is None else feature_arrays(e=energies))
    assert refused_import(path, *OPTIONS) == f"{path}: {message}"


def test_feature_too_large_for_the_descriptor_s_type(save, tmp_path, refused_import):
    toml = write(tmp_path / "d.toml", 'name = "wacsf"\ncutoff = 6.0\ndtype = "float32"\n')
    x = np.ones((3, descriptors.read_toml(toml).n_features))
    x[1, 0] = 1e300
    path = save({"x": x, "y": np.ones((3, 8))})
    line = refused_import(path, "--element", "V", "--descriptor", toml, RANGE)
    assert line == f"{path}: array x, row 1, column 0: expected a finite number (float32), received 1e+300"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "{path}: does not say of which element its sites are (array elements); set --element"),
        (["--preset", "xanesnet-49"], "{path}: has features without structures: give --element (see"),
        ([*OPTIONS, "--source", "MACE"], "--source is for features of another program; {path} has those of --preset"),
        ([*OPTIONS, "--structures", "s.h5"], "--structures is for features of another program; {path} has those of"),
        ([*OPTIONS, "--spectra", "mu"], "--spectra does not apply to features without structures ({path}) (see"),
        ([*OPTIONS, "--absorber", "V"], "--absorber does not apply to features without structures ({path})"),
        ([*OPTIONS, "--keep-unpaired"], "--keep-unpaired does not apply to features without structures ({path})"),
        ([*OPTIONS, "--strict"], "--strict does not apply to features without structures ({path})"),
        ([*OPTIONS, "--descriptor", "d.toml"], "expected --preset or --descriptor, received both"),
        (["--element", "Vn", *OPTIONS[2:], RANGE], "--element: expected the symbol of an element, such as V, received"),
        (["--element", "X", *OPTIONS[2:], RANGE], "--element: expected the symbol of an element, such as V, received"),
        (["--element", "V", "--preset", "xanesnet-48"], "Invalid value for '--preset': expected charged, rdc, "),
        ([*OPTIONS, RANGE, "--edge", "Q7"], "edge 'Q7': expected one of K, L1"),
        ([*OPTIONS, RANGE, "--edge", "N2"], "V has no N2 edge in XrayDB; it has K, L1"),
        ([*OPTIONS, RANGE, "--e0", "nan"], "--e0: expected a finite energy in eV, received nan"),
        ([*OPTIONS, RANGE, "--shift", "inf"], "--shift: expected a finite energy in eV, received inf"),
        ([*OPTIONS, RANGE, "--shift", "1"], "{path}: energies are relative to the edge (they begin at -15 eV); omit"),
        ([*OPTIONS, "--energies", "60"], "--energies: expected START:STOP in eV, ascending, such as -15:60, received"),
        ([*OPTIONS, "--energies", "1:2:3"], "--energies: expected START:STOP in eV, ascending, such as -15:60, rec"),
        ([*OPTIONS, "--energies", "60:-15"], "--energies: expected START:STOP in eV, ascending, such as -15:60, rec"),
        ([*OPTIONS, "--energies", "-inf:60"], "--energies: expected START:STOP in eV, ascending, such as -15:60, re"),
        ([*OPTIONS, "--energies", "5:60"], "{path}: e0 = 5465 eV (xraydb) lies outside the spectrum's range, 5470 to"),
        (["other.xyz", *OPTIONS, RANGE], "{path}: expected as the only source, received 2 (see"),
    ],
)  # fmt: skip
def test_options(save, refused_import, options, message):
    path = save()
    assert refused_import(path, *options).startswith(message.format(path=path))


@pytest.mark.parametrize("option", [OPTIONS[:2], OPTIONS[2:], ("--descriptor", "d.toml"), (RANGE,)])
def test_options_for_features_are_refused_for_structures(tmp_path, refused_import, option):
    line = refused_import(write_xyz(tmp_path / "a.xyz"), *option)
    name = option[0].partition("=")[0]
    assert line == f"{name} applies only to a .npz file of features and spectra (see xanes-hpc import --help)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda whole: b"", "empty file"),
        (lambda whole: b"PK", "not an .npz file (a ZIP of arrays)"),
        (lambda whole: b"\x80\x04N.", "not an .npz file (a ZIP of arrays)"),
        (lambda whole: b"\x93NUMPY\x01\x00", "not an .npz file (a ZIP of arrays)"),
        (lambda whole: whole[: len(whole) // 2], "damaged, or not written by NumPy: File is not a zip file"),
        (lambda whole: whole[:500] + b"\0\0\0\0" + whole[504:], "damaged, or not written by NumPy: Bad CRC-32 for"),
    ],
)
def test_damaged_files(save, refused_import, change, message):
    path = save()
    path.write_bytes(change(path.read_bytes()))
    assert refused_import(path, *OPTIONS, RANGE).startswith(f"{path}: {message}")


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_always_noticed(save, compressed):
    """After changing any byte, the file is refused or the values are as saved."""
    path, rng = save(compressed=compressed), np.random.default_rng(0)
    whole, made = path.read_bytes(), feature_arrays()
    for _ in range(300):
        place = int(rng.integers(len(whole)))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        with suppress(FormatError):
            arrays = npz.Arrays(path)
            if {"x", "y"} <= set(arrays.names):
                np.testing.assert_array_equal(arrays.numbers("x", SHAPE, FLOAT64)[:], made["x"])
                np.testing.assert_array_equal(arrays.numbers("y", SHAPE, FLOAT64)[:], made["y"])


def test_missing_file(tmp_path, refused_import):
    path = tmp_path / "none.npz"
    assert refused_import(path, *OPTIONS, RANGE) == f"{path}: no such file or folder"


@pytest.mark.parametrize(
    "shape", [b"(6, 49 ", b"(((((((", b"(9999999999999999999999,)"], ids=["open", "nested", "large"]
)
def test_an_invalid_header_of_an_array(save, tmp_path, shape):
    path = save(feature_arrays())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert members["x.npy"].count(b"(6, 49)") == 1
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"(6, 49)", shape))
    with pytest.raises(FormatError, match=r"set_v\.npz: damaged, or not written by NumPy: "):
        npz.Arrays(path).numbers("x", SHAPE, FLOAT64)
