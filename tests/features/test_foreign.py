"""Features that another program made: read, paired with sites, and joined with those of a descriptor."""

import json
import zipfile

import numpy as np
import pytest
from ase import Atoms
from support import small_parts
from support.builders import refused, run, write_npz

import xanes_hpc as xh
from xanes_hpc import descriptors
from xanes_hpc.analysis.inspect import inform
from xanes_hpc.analysis.verify import verify
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.errors import ConfigError, DescriptorError, FormatError, StoreError
from xanes_hpc.features.featurise import featurise, featurise_in_memory
from xanes_hpc.features.foreign import read_foreign
from xanes_hpc.features.pairing import PairedFeatures, beside
from xanes_hpc.formats import npz
from xanes_hpc.importing.from_atoms import import_atoms
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore

WIDTH = 5
PRESET = "xanesnet-49"


def arrays(n=4, **others):
    """Return features of ``n`` sites s0, s1, …, and what ``others`` say; an array given as None is left out."""
    rng = np.random.default_rng(n)
    made = {
        "x": rng.random((n, WIDTH), np.float32), "names": np.array([f"s{k}" for k in range(n)]), "elements": "Fe",
        "source": "a network", **others,
    }  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def structures(tmp_path):
    """A store of four sites s0 to s3; the last structure has two."""
    oxide = [Atoms("FeO2", [(0, 0, 0), (0, 0, 1.7 + 0.1 * k), (0, 0, -1.7)], info={"name": f"s{k}"}) for k in range(3)]
    pair = Atoms("FeOFe", [(0, 0, 0), (0, 0, 1.8), (0, 0, 3.7)], info={"name": "t"})
    path = tmp_path / "s.h5"
    import_atoms([*oxide, pair], "Fe", "K", path)
    with StructureStore(path) as store:
        yield store


def names_of(store):
    return np.array(store.sites.name)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i2", "u1"])
def test_any_real_numbers_are_read(tmp_path, dtype, compressed):
    x = (10 * np.random.default_rng(0).random((6, 3))).astype(dtype)
    path = write_npz(tmp_path / "a.npz", arrays(6, x=np.asfortranarray(x)), compressed)
    found = read_foreign(path)
    np.testing.assert_array_equal(found.values[:], x.astype(np.float32))
    np.testing.assert_array_equal(found.values[np.array([5, 0, 3])], x[[5, 0, 3]].astype(np.float32))
    assert (found.descriptor.source, found.source_given, found.descriptor.width) == ("a network", True, 3)


def test_values_stay_in_the_file(tmp_path):
    """Neither an uncompressed nor a compressed array is held in memory."""
    for compressed in (False, True):
        found = read_foreign(write_npz(tmp_path / "a.npz", arrays(), compressed))
        assert not found.values.stored.flags.owndata
        assert len(found.values.mapped) >= found.values.stored.nbytes


def test_what_the_file_says_about_its_sites(tmp_path, capsys):
    made = arrays(
        3, formulas=np.array(["FeO", "FeO2", "CoO"]), elements=np.array([26, 26, 27]), edges=np.array(["K", "L3", "k"]),
        labels=np.array(list("abcde")), other=np.ones(2),
    )  # fmt: skip
    path, output = write_npz(tmp_path / "a.npz", made), tmp_path / "a.features.h5"
    assert run("import", path, "-o", output, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["absorbers"] == {"Fe K": 1, "Fe L3": 1, "Co K": 1}
    assert summary["from_file"] == ["names", "formulas", "elements", "edges"]
    assert summary["unused_arrays"] == ["other"]
    with FeatureStore(output) as store:
        np.testing.assert_array_equal(store.read(0, 3), made["x"])
        assert store.sites.name == ["s0", "s1", "s2"]
        assert store.site_formulas() == ["FeO", "FeO2", "CoO"]
        assert store.site_formulas(1, 2) == ["FeO2"]
        assert (store.sites.element.tolist(), store.sites.edge) == ([26, 26, 27], ["K", "L3", "K"])
        assert store.description == {"name": "foreign", "source": "a network", "features": 5, "labels": list("abcde")}
        assert store.attribute("foreign_file") == "a.npz"
        assert store.attribute("foreign_digest") == summary["digest"]
        assert not store.has_spectra
    assert not verify(output).damage
    assert inform(output)["foreign"]["source"] == "a network"


def test_a_bare_file_and_its_spectra(tmp_path, capsys):
    rng = np.random.default_rng(0)
    made = {"x": rng.random((4, 3)), "y": np.sort(rng.random((4, 16))), "elements": np.array(["Fe", "Co", "Fe", "Co"])}
    path, output = write_npz(tmp_path / "a_b.npz", made), tmp_path / "o.h5"
    assert run("import", path, "--energies=-15:60", "--edge", "K", "-o", output, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["source"], summary["source_given"], summary["spectra"]) == ("a_b", False, 4)
    with FeatureStore(output) as store:
        assert store.sites.name[0] == "a-b-00000"
        rows = store.file["spectra/site"][:]
        assert sorted(rows) == [0, 1, 2, 3]
        for site, placed in zip(rows, read_spectra(store.file, list(range(4))), strict=True):
            np.testing.assert_array_equal(placed.spectrum.intensities, made["y"][site])
            assert placed.e0 == (7112.0 if site in (0, 2) else 7709.0)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"x": None}, "expected an array x (features), received 'names', 'elements', 'source'"),
        ({"x": np.ones(4)}, "array x: expected shape (n_sites, n_features), received (4,)"),
        ({"x": np.ones((0, 5))}, "array x: expected shape (n_sites, n_features), received (0, 5)"),
        ({"x": np.ones((4, 0))}, "array x: expected shape (n_sites, n_features), received (4, 0)"),
        ({"x": np.ones((4, 5), complex)}, "array x: expected real numbers, received complex128"),
        ({"x": np.ones((4, 5), bool)}, "array x: expected real numbers, received bool"),
        ({"x": np.full((4, 5), "1")}, "array x: expected real numbers, received <U1"),
        ({"x": np.array([[1, None]] * 4)}, "array x: expected numbers or text, received Python objects"),
        ({"x": np.where(np.eye(4), np.nan, 1.0)}, "array x, row 0, column 0: expected a finite number (float32), rece"),
        ({"x": np.where(np.eye(4)[::-1], 1e39, 1.0)}, "array x, row 0, column 3: expected a finite number (float32)"),
        ({"names": np.array(["a", "b", "c"])}, "array names: expected 4 texts, received shape (3,)"),
        ({"names": np.array(["a", "b", "a", "c"])}, "array names: expected every one once, received 'a' in rows 0 and"),
        ({"names": "one"}, "array names: expected 4 texts, received shape ()"),
        ({"names": np.array(["a", "b", "c", None])}, "array names: expected numbers or text, received Python objects"),
        ({"names": np.arange(4)}, "array names: expected text, received int64; save it with .astype(str)"),
        ({"names": np.array(["a", "", "c", "d"])}, "array names, row 1: expected text without control characters or b"),
        ({"names": np.array(["a", "b", "c", "d\te"])}, "array names, row 3: expected text without control characters"),
        ({"names": np.array([b"a", b"\xff", b"c", b"d"])}, "array names: expected text in UTF-8, received other bytes"),
        ({"formulas": np.array(["FeO"] * 5)}, "array formulas: expected 4 texts, or one for all, received shape (5,)"),
        ({"elements": "Xx"}, "array elements: expected symbols or atomic numbers of elements, received 'Xx'"),
        ({"elements": np.array([26, 26, 0, 26])}, "array elements: expected 1 to 118, received 0"),
        ({"elements": np.array([26, 26])}, "array elements: expected 4 numbers, or one for all, received shape (2,)"),
        ({"elements": 26.0}, "array elements: expected text, received float64"),
        ({"edges": "Q"}, "array edges, row 0: expected one of K, L1"),
        ({"elements": None}, "does not say of which element its sites are (array elements); set --element"),
        ({"labels": np.array(list("abc"))}, "array labels: expected 5 texts, received shape (3,)"),
        ({"labels": np.array(list("abcda"))}, "array labels: expected every one once, received 'a' in rows 0 and 4"),
        ({"source": np.array(["a", "b"])}, "array source: expected a single text, received shape (2,)"),
        ({"y": np.ones((3, 16))}, "expected as many rows in y as in x, received 3 and 4"),
        ({"y": np.ones((4, 16))}, "has no energies (array e); set --energies"),
        ({"y": np.ones((4, 16)), "e": np.arange(15.0)}, "expected as many energies in e as y has columns, received"),
    ],
)  # fmt: skip
def test_bad_arrays_are_refused_in_one_line(tmp_path, capsys, made, message):
    path = write_npz(tmp_path / "a.npz", arrays(**made))
    line = refused(capsys, tmp_path, "import", path, "-o", tmp_path / "o.h5")
    assert line.startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--element", "Co"), "array elements, row 0: is Fe, but --element is Co"),
        (("--edge", "L3"), "array edges, row 0: is K, but --edge is L3"),
        (("--source", "other"), "is of the source 'a network', but --source is 'other'"),
    ],
)
def test_options_that_contradict_the_file_are_refused(tmp_path, capsys, options, message):
    path = write_npz(tmp_path / "a.npz", arrays(edges="K"))
    assert refused(capsys, tmp_path, "import", path, *options, "-o", tmp_path / "o.h5") == f"{path}: {message}"


def test_an_edge_that_the_element_has_not_is_refused(tmp_path, capsys):
    path = write_npz(tmp_path / "a.npz", arrays(edges="N2"))
    assert "Fe has no N2 edge" in refused(capsys, tmp_path, "import", path, "-o", tmp_path / "o.h5")


def test_text_that_is_no_text_is_refused(tmp_path):
    path = write_npz(tmp_path / "a.npz", arrays())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data[:-4] + b"\xff" * 4 if name == "names.npy" else data)
    with pytest.raises(FormatError, match="array names: expected text"):
        read_foreign(path)


def test_a_damaged_compressed_file_is_refused(tmp_path):
    path = write_npz(tmp_path / "a.npz", arrays(200), compressed=True)
    whole = bytearray(path.read_bytes())
    whole[400] ^= 255
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=r"a\.npz: damaged, or not written by NumPy"):
        npz.Arrays(path).numbers("x", ("a", "b"), np.dtype(np.float32), any_type=True)


def test_a_single_array_is_refused_with_advice(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    line = refused(capsys, tmp_path, "import", tmp_path / "a.npy", "-o", tmp_path / "o.h5")
    assert line.endswith("save the array with np.savez(FILE, x=array)")


def test_one_value_counts_for_all_sites(tmp_path):
    for value in (26, np.array([26]), "Fe", np.array(["fe"]), np.array([b"Fe"])):
        found = read_foreign(write_npz(tmp_path / "a.npz", arrays(elements=value, edges=np.array(["l3"]))))
        assert (found.elements.tolist(), found.edges) == ([26] * 4, ["L3"] * 4)


def test_the_hash_is_of_the_kind_of_features_not_of_the_file(tmp_path):
    def made(**others):
        return read_foreign(write_npz(tmp_path / "a.npz", arrays(**others))).descriptor.hash

    first = made()
    assert made(n=7) == first
    others = [made(source="other"), made(x=np.ones((4, 6))), made(labels=np.array(list("abcde")))]
    assert len({first, *others}) == 4


def test_sites_are_paired_by_name(tmp_path, structures, capsys):
    """``t#2`` is a site; ``t`` alone is not, since its structure has two."""
    made = arrays(4, names=np.array(["t#2", "s1", "t", "s2#0"]))
    path, output = write_npz(tmp_path / "a.npz", made), tmp_path / "o.features.h5"
    assert run("import", path, "--structures", structures.path, "-o", output, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["sites"], summary["without_features"], summary["unused_rows"]) == (3, 2, 1)
    with FeatureStore(output) as store:
        assert store.sites.name == ["s0", "s1", "s2", "t#0", "t#2"]
        assert store.without_features.tolist() == [True, False, False, True, False]
        np.testing.assert_array_equal(store.read(0, 5)[[1, 2, 4]], made["x"][[1, 3, 0]])
        assert np.isnan(store.read(0, 1)).all()
        with store.open_source() as source:
            assert source.path.samefile(structures.path)
    assert not verify(output).damage
    assert inform(output)["without_features"] == 2
    assert run("import", path, "--structures", structures.path, "-o", output, "--overwrite") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "without features 2 sites (s0, t#0), left out" in printed
    assert f"not used 1 row of {path} (t)" in printed


def test_features_are_appended_to_those_of_a_descriptor(tmp_path, structures):
    plain = descriptors.load("wacsf", PRESET)
    made = arrays(5, names=names_of(structures)[::-1])
    both, paired = beside(write_npz(tmp_path / "a.npz", made), plain, structures)
    ours = featurise_in_memory(structures, plain).read(0, 5)
    featurise(structures, both, tmp_path / "o.h5", foreign=paired)
    for store in (FeatureStore(tmp_path / "o.h5"), featurise_in_memory(structures, both, foreign=paired)):
        with store:
            found = store.read(0, 5)
            np.testing.assert_array_equal(found[:, : plain.n_features], ours)
            np.testing.assert_array_equal(found[:, plain.n_features :], made["x"][::-1])
            assert store.description["descriptor"] == plain.describe()
    assert both.labels == [*plain.labels, *(f"foreign[{k}]" for k in range(WIDTH))]
    assert both.meanings[: plain.n_features] == plain.meanings
    assert (both.cutoff, both.dtype) == (plain.cutoff, plain.dtype)


def test_partitions_give_the_same_features(tmp_path, monkeypatch):
    small_parts.use(monkeypatch.setattr)
    oxides = [Atoms("FeO", [(0, 0, 0), (0, 0, 1.5 + 0.01 * k)], info={"name": f"s{k}"}) for k in range(90)]
    source, output = tmp_path / "s.h5", tmp_path / "parts.h5"
    import_atoms(oxides, "Fe", "K", source).close()
    path = write_npz(tmp_path / "a.npz", arrays(70))
    words = ["featurise", source, "--preset", PRESET, "--foreign", path]
    assert run(*words, "-o", tmp_path / "once.h5") == 0
    assert run(*words, "-o", output, "--plan", 2) == 0
    for step in (("--partition", 0), ("--partition", 1), ("--finalise",)):
        assert run("featurise", source, "-o", output, *step) == 0
    with FeatureStore(tmp_path / "once.h5") as once, FeatureStore(output) as parts:
        np.testing.assert_array_equal(once.read(0, 90), parts.read(0, 90))
        assert parts.without_features.tolist() == 70 * [False] + 20 * [True]
        assert once.attribute("foreign_digest") == parts.attribute("foreign_digest")


def test_a_plan_does_not_continue_with_another_file(tmp_path, structures, capsys):
    path = write_npz(tmp_path / "a.npz", arrays(5, names=names_of(structures)))
    words = ["featurise", structures.path, "--foreign", path, "--preset", PRESET, "-o", tmp_path / "o.h5"]
    assert run(*words, "--plan", 1) == 0
    write_npz(path, arrays(5, names=names_of(structures), x=np.zeros((5, WIDTH))))
    assert run(*words[:2], "-o", tmp_path / "o.h5", "--partition", 0) == 2
    assert "foreign digest" in capsys.readouterr().err


def test_a_store_of_foreign_features_serves_as_their_file(tmp_path, structures):
    made = arrays(5, names=names_of(structures))
    alone = tmp_path / "alone.features.h5"
    assert run("import", write_npz(tmp_path / "a.npz", made), "-o", alone) == 0
    both, paired = beside(alone, descriptors.load("wacsf", PRESET), structures)
    with featurise_in_memory(structures, both, foreign=paired) as store:
        np.testing.assert_array_equal(store.read(0, 5)[:, -WIDTH:], made["x"])
    np.testing.assert_array_equal(read_foreign(alone).values[np.array([3, 1, 3])], made["x"][[3, 1, 3]])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"names": None}, "has no array names, which pairs its rows with the sites of"),
        ({"names": np.array(["q0", "q1", "s1.xyz", "q3"])}, "none of its names is that of a site of"),
        ({"elements": "Co"}, "s0 is Co there, but Fe in"),
        ({"edges": "L3"}, "s0 is at L3 there, but K in"),
    ],
)
def test_rows_that_do_not_fit_the_sites_are_refused(tmp_path, structures, capsys, made, message):
    path = write_npz(tmp_path / "a.npz", arrays(**made))
    for words in (["import", path, "--structures", structures.path], ["featurise", structures.path, "--foreign", path]):
        line = refused(capsys, tmp_path, *words, "-o", tmp_path / "o.h5")
        assert line.startswith(f"{path}: {message}")
    if "q0" in str(made):
        assert "s1.xyz: s1" in line


def test_options_that_do_not_apply_are_refused(tmp_path, structures, capsys):
    path, output = write_npz(tmp_path / "a.npz", arrays()), tmp_path / "o.h5"
    words = ("import", path, "--structures", structures.path, "-o", output)
    assert "--element does not apply" in refused(capsys, tmp_path, *words, "--element", "Fe")
    words = ("featurise", structures.path, "--foreign", path, "-o", output)
    assert "--rattle: foreign features are those of the" in refused(capsys, tmp_path, *words, "--rattle", 0.1)
    with featurise_in_memory(structures, descriptors.load("wacsf", PRESET)) as plain:
        assert plain.without_features.tolist() == [False] * 5
    assert run("featurise", structures.path, "--preset", PRESET, "-o", tmp_path / "p.h5") == 0
    line = refused(capsys, tmp_path, *words[:3], tmp_path / "p.h5", "-o", output)
    assert line.startswith(
        f"{tmp_path / 'p.h5'}: expected an .npz file, or a store of foreign features alone, received"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "expected source as the name of what made the features"),
        ({"features": 0}, "expected features as a number of at least 1, received 0"),
        ({"features": True}, "expected features as a number of at least 1, received True"),
        ({"labels": ["a", "a"]}, "expected 2 different labels, one for each feature, received 2 (1 different)"),
        ({"labels": "ab"}, "expected labels as a list of names"),
        ({"width": 2}, "descriptor foreign has no key 'width'"),
        ({"descriptor": "wacsf"}, "expected a table [descriptor]"),
        ({"descriptor": {"name": "foreign", "source": "b", "features": 1}}, "expected another descriptor beside it"),
    ],
)
def test_descriptions_are_checked(change, message):
    with pytest.raises(DescriptorError) as error:
        descriptors.from_description({"name": "foreign", "source": "a", "features": 2} | change)
    assert message in str(error.value)


def test_structures_alone_do_not_have_the_features(structures):
    descriptor = Foreign({"name": "foreign", "source": "a", "features": 2})
    with pytest.raises(DescriptorError, match="2 features of 'a' are made by another program"):
        featurise_in_memory(structures, descriptor)
    assert descriptors.from_description(descriptor.describe()).hash == descriptor.hash


def test_pairing_many_sites_needs_few_reads(tmp_path, structures):
    found = read_foreign(write_npz(tmp_path / "a.npz", arrays(5, names=names_of(structures))))
    paired = PairedFeatures(found, structures.sites, structures.path)
    assert paired.rows.tolist() == list(range(5))
    batch = paired.of(structures.batch(1, 3), 1)
    np.testing.assert_array_equal(batch.foreign, found.values[1:3])
    np.testing.assert_array_equal(batch.sites(1, 2).foreign, found.values[2:3])


def test_the_front_door_takes_the_same_files(tmp_path, structures):
    made = arrays(5, names=names_of(structures))
    path = write_npz(tmp_path / "a.npz", made)
    with xh.import_features(path, structures=structures) as alone, xh.import_features(path) as own:
        np.testing.assert_array_equal(alone.read(0, 5), made["x"])
        np.testing.assert_array_equal(own.read(0, 5), made["x"])
        assert alone.attribute("descriptor_hash") == own.attribute("descriptor_hash")
    stored = xh.import_features(path, structures=structures.path, source="a network", output=tmp_path / "o.h5")
    assert stored.attribute("source_digest") == structures.attribute("digest_structures")
    atoms = Atoms("FeO", [(0, 0, 0), (0, 0, 1.6)], info={"name": "s2"})
    with xh.featurise(atoms, sites="Fe", preset=PRESET, foreign=path) as both:
        np.testing.assert_array_equal(both.read(0, 1)[0, -WIDTH:], made["x"][2])
    with pytest.raises(ConfigError, match="`element`: omit with `structures`"):
        xh.import_features(path, structures=structures, element="Fe")


def test_names_up_to_the_first_underscore(tmp_path):
    atoms = [Atoms("FeO", [(0, 0, 0), (0, 0, 1.7)], info={"name": f"{code}_FeO"}) for code in ("ABEMAX", "WELROW")]
    store = import_atoms(atoms, "Fe")
    found = read_foreign(write_npz(tmp_path / "a.npz", arrays(2, names=np.array(["WELROW", "ABEMAX#0"]))))
    paired = PairedFeatures(found, store.sites, store.path)
    assert (paired.rows.tolist(), paired.unused) == ([1, 0], [])


@pytest.mark.parametrize(("formula", "refused_"), [("O4Fe2", False), ("a group", False), ("FeO", True)])
def test_formulas_of_another_composition_are_refused(tmp_path, structures, formula, refused_):
    found = read_foreign(
        write_npz(tmp_path / "a.npz", arrays(1, names=names_of(structures)[:1], formulas=np.array([formula])))
    )

    def pair():
        return PairedFeatures(found, structures.sites, structures.path, structures.site_formulas)

    if not refused_:
        assert pair().rows[0] == 0
        return
    with pytest.raises(FormatError, match=r"s0 is FeO there, but FeO2 in"):
        pair()


def test_a_structure_store_is_no_file_of_features(structures):
    with pytest.raises(StoreError, match=r"expected an \.npz file of features, .* received a structure store"):
        read_foreign(structures.path)


def test_energies_without_spectra(tmp_path, capsys):
    path = write_npz(tmp_path / "a.npz", arrays())
    message = refused(capsys, tmp_path, "import", path, "--energies=-15:60", "-o", tmp_path / "f.h5")
    assert "--energies are those of spectra" in message
