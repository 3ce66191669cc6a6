"""The HTTP interface behind the page: its answers, what it refuses, and that no request brings it down."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import h5py
import numpy as np
import pytest
from support.builders import frame, run, write

pytest.importorskip("fastapi")
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

from xanes_hpc.errors import FormatError
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.models.model import Model
from xanes_hpc.pages import server as serving
from xanes_hpc.pages import site_routes
from xanes_hpc.pages.isolated_reading import read_apart
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.server import application, warm_up
from xanes_hpc.pages.uploads import Limits, read_spectrum_file, read_structure_file
from xanes_hpc.prediction.export import export
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

EXAMPLES = 40
"""Number of requests to each address, for valid and for invalid ones."""
WATER_OF_IRON = [("Fe", 0, 0, 0), ("O", 0, 0, 2.1), ("O", 0, 2.1, 0), ("O", 2.1, 0, 0), ("H", 0, 0.6, 2.7)]
CIF = """data_x
_cell_length_a 4.3
_cell_length_b 4.3
_cell_length_c 4.3
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{occupancy}Fe1 Fe 0 0 0{first}
O1 O 0.5 0.5 0.5{second}
"""


@pytest.fixture(scope="module")
def app(model):
    served = Served(SitePredictor(Model.open(model), draws=8), Limits(bytes=200_000, atoms=50))
    return application(served, ["testserver", "localhost"])


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app) as client:
        yield client


def upload(client, *files):
    return client.post("/api/structures", files=[("files", (name, data)) for name, data in files])


def asked(atoms=WATER_OF_IRON, absorber=0, **more):
    numbers = {"Fe": 26, "O": 8, "H": 1, "Zn": 30}
    structure = {"name": "s", "numbers": [numbers[a[0]] for a in atoms], "positions": [list(a[1:]) for a in atoms]}
    return {"structure": structure, "absorber": absorber} | more


def test_spectrum_agrees_with_predict(client, model, small, tmp_path):
    folder = Model.open(model)
    with StructureStore(small / "small.h5") as source:
        predict(folder, source, tmp_path / "p.h5", PredictOptions(draws=8, keep_draws=True))
        structure, atom = next(source.structures_at(np.array([17])))
        edge = source.sites.edge[17]
    body = {
        "structure": {"name": "x", "numbers": structure.numbers.tolist(), "positions": structure.positions.tolist()},
        "absorber": atom, "edge": edge,
    }  # fmt: skip
    found = client.post("/api/predict", json=body).json()
    with PredictionStore(tmp_path / "p.h5") as store:
        np.testing.assert_allclose(found["mean"], store.read("mean", 17), rtol=1e-5, atol=1e-5)  # shifts are rounded
        np.testing.assert_allclose(found["std"], store.read("std", 17), rtol=1e-4, atol=1e-6)
        assert found["e0"] == store.read("sites/e0", 17)
        assert found["energies"] == store.energies.tolist()
        assert found["distrust"] == store.distrust[17]
    assert run("broaden", tmp_path / "p.h5", "-o", tmp_path / "b.h5", "--recipe", "gaussian", "--gaussian", 1.5) == 0
    found = client.post("/api/predict", json=body | {"broadening": {"name": "gaussian", "gaussian": 1.5}}).json()
    with PredictionStore(tmp_path / "b.h5") as store:
        np.testing.assert_allclose(found["mean"], store.read("mean", 17), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["std"], store.read("std", 17), rtol=1e-3)
        assert found["treatment"] == "synthetic+gaussian"


def test_files_of_structures(client):
    crystal = CIF.format(occupancy="", first="", second="")
    answer = upload(
        client,
        ("two.xyz", (frame(WATER_OF_IRON, "first") + frame([("C", 0, 0, 0), ("O", 0, 0, 1.2)])).encode()),
        ("salt.cif", crystal.encode()),
        ("POSCAR", b"FeO\n1.0\n4 0 0\n0 4 0\n0 0 4\nFe O\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"),
    )
    assert answer.status_code == 200
    found = answer.json()
    assert found["errors"] == []
    assert [s["formula"] for s in found["structures"]] == ["FeHO3", "CO", "Fe4O4", "FeO"]
    assert [s["absorbers"] for s in found["structures"]] == [[0], [], [0, 1, 2, 3], [0]]
    assert found["structures"][2]["cell"][0][0] == pytest.approx(4.3)
    assert found["structures"][0]["bonds"] == [[0, 1], [0, 2], [0, 3], [1, 4]]
    assert found["structures"][0]["colours"][1] == "#ff0d0d"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xyz", b"not a structure", "a.xyz: "),
        ("a.xyz", b"", "a.xyz: empty file"),
        ("a.py", b"print(1)", "a.py: expected a file ending in .xyz, .extxyz, .cif"),
        ("a.traj", b"- of Ulm", "expected a file ending in"),
        ("../../etc/passwd", b"root", "expected a file ending in"),
        ("a.xyz", b"x" * 300_000, "a.xyz: expected at most 0 MiB, received more"),
        ("a.xyz", frame([("Fe", 0, 0, 0), ("O", 0, 0, 0)]).encode(), "atoms 0 and 1 coincide"),
        ("a.xyz", frame([("Fe", 0, 0, 0), ("O", 1e300, 0, 0)]).encode(), "expected coordinates within ±1,000,000 Å"),
        (
            "a.xyz",
            frame([("Fe", k * 3.0, 0, 0) for k in range(60)]).encode(),
            "expected at most 50 atoms, received 60",
        ),
        ("a.xyz", b"2\n\nFe 0 0 0\nO 0 0 nan\n", "a.xyz: "),
        ("a.cif", CIF.format(occupancy="_atom_site_occupancy\n", first=" 0.5", second=" 1").encode(), "occup"),
        ("x" * 500 + ".xyz", b"?", "x" * 60),
        ("a\u202e.xyz", b"\xff\xfe\x00", "xyz"),
    ],
)
def test_files_that_cannot_be_used(client, name, data, message):
    answer = upload(client, (name, data), ("good.xyz", frame(WATER_OF_IRON).encode()))
    assert answer.status_code == 200
    found = answer.json()
    assert len(found["structures"]) == 1
    assert len(found["errors"]) == 1
    assert message in found["errors"][0]
    assert "/tmp" not in found["errors"][0]
    assert len(found["errors"][0]) < 400


def test_a_file_that_breaks_a_reader_does_not_affect_others(client, monkeypatch):
    read = site_routes.read_structure_file
    broken = RuntimeError("a reader's own fault")

    def failing(name, data, limits):
        if name == "bad.xyz":
            raise broken
        return read(name, data, limits)

    monkeypatch.setattr(site_routes, "read_structure_file", failing)
    good = frame([("Fe", 0, 0, 0), ("O", 0, 0, 2)]).encode()
    found = client.post("/api/structures", files=[("files", ("bad.xyz", good)), ("files", ("good.xyz", good))]).json()
    assert [structure["name"] for structure in found["structures"]] == ["good"]
    assert found["errors"] == ["bad.xyz: cannot be read: RuntimeError"]


def test_many_structures_and_many_files(client, app):
    many = "".join(frame(WATER_OF_IRON, str(k)) for k in range(105)).encode()
    found = upload(client, ("many.xyz", many)).json()
    assert (len(found["structures"]), len(found["errors"])) == (100, 1)
    answer = upload(client, *[(f"{k}.xyz", b"1\n\nFe 0 0 0\n") for k in range(21)])
    assert (answer.status_code, "expected at most 20 files, received 21" in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"absorber": 99}, "absorber: expected an atom from 0 to 4, received 99"),
        ({"absorber": 1}, "the model was not trained on O K, only on Cr K"),
        ({"edge": "L3"}, "the model was not trained on Fe L3, only on"),
        ({"absorber": -1}, "body.absorber: Input should be greater than or equal to 0"),
        ({"other": 1}, "body.other: Extra inputs are not permitted"),
        ({"broadening": {"name": "arctangent"}}, "expected unbroadened spectra, received treatment 'synthetic'"),
        ({"broadening": {"name": "gaussian"}}, "broadening.gaussian: expected a width in eV, received 0"),
        ({"broadening": {"name": "gaussian", "gaussian": 1e9}}, "less than or equal to 100"),
        ({"structure": {"numbers": [26], "positions": []}}, "body.structure.positions"),
        ({"structure": {"numbers": [26, 8], "positions": [[0, 0, 0]]}}, "expected 2 positions"),
        ({"structure": {"numbers": [26] * 60, "positions": [[3 * k, 0, 0] for k in range(60)]}}, "at most 50 atoms"),
        ({"structure": {"numbers": [119], "positions": [[0, 0, 0]]}}, "less than or equal to 118"),
        ({"structure": {"numbers": [26, 8], "positions": [[0, 0, 0], [0, 0, 0]]}}, "atoms 0 and 1 coincide"),
    ],
)
def test_requests_that_cannot_be_predicted(client, change, message):
    for path in ("/api/predict", "/api/export/csv"):
        answer = client.post(path, json=asked() | change)
        assert answer.status_code == 422
        assert message in answer.json()["error"]


def test_invalid_json(client):
    text = json.dumps(asked()).replace("2.1", "NaN")
    answer = client.post("/api/predict", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    answer = client.post("/api/predict", content="{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_files_agree_with_export(client):
    text = client.post("/api/export/csv", json=asked()).text
    assert text.splitlines()[1] == "energy_ev,energy_ev_relative_to_e0,mean,std,low95,high95"
    xdi = client.post("/api/export/xdi", json=asked()).text
    assert xdi.startswith("# XDI/1.0 xanes-hpc/")
    assert "# Element.symbol: Fe" in xdi


def test_raw_transmission_data_are_normalised(client):
    """Ordinary data of a beamline are below 0 everywhere."""
    energies = np.arange(6960.0, 7500.0, 1.0)
    counts = np.exp(-0.4 - 0.5 * np.tanh((energies - 7120.0) / 2.0))
    rows = "".join(f"{e:.1f} 1000 {4e4 * c:.6f}\n" for e, c in zip(energies, counts, strict=True))
    answer = client.post("/api/experiment", files={"file": ("scan.dat", f"# energy i0 itrans\n{rows}".encode())})
    measured = answer.json()
    mu = np.array(measured["intensities"])
    assert mu[:100].mean() == pytest.approx(0.0, abs=1e-3)
    assert mu[-100:].mean() == pytest.approx(1.0, abs=1e-3)
    assert measured["normalisation"]["e0_ev"] == pytest.approx(7120.0, abs=0.3)
    assert measured["normalisation"]["edge_step"] == pytest.approx(1.0, rel=0.01)
    assert any("edge step" in note for note in measured["notes"])
    assert any("ln(i0 / itrans)" in note for note in measured["notes"])


def test_a_measured_spectrum_is_aligned(client):
    found = client.post("/api/predict", json=asked()).json()
    energies = np.array(found["energies"])
    moved = "".join(
        f"{e + found['e0'] + 2.0:.4f} {3.0 * y:.8f}\n" for e, y in zip(energies, found["mean"], strict=True)
    )
    answer = client.post("/api/experiment", files={"file": ("m.dat", moved.encode())})
    measured = answer.json()
    assert len(measured["energies"]) == energies.size
    body = {
        "experiment": {name: measured[name] for name in ("energies", "intensities", "absolute")},
        "predicted": {name: found[name] for name in ("energies", "mean", "std", "e0")},
    }
    aligned = client.post("/api/align", json=body).json()
    assert aligned["shift"] == pytest.approx(2.0, abs=0.21)
    assert aligned["factor"] == pytest.approx(1 / 3, rel=0.02)
    assert np.abs(aligned["residual"]).max() < 0.02
    at_hand = client.post("/api/align", json=body | {"shift": 1.0}).json()
    assert (at_hand["shift"], at_hand["error_percent"] > 5 * aligned["error_percent"]) == (1.0, True)
    raw = [y + 4.0 - 0.02 * k for k, y in enumerate(measured["intensities"])]
    on_a_line = body | {"scale": "line", "experiment": body["experiment"] | {"intensities": raw}}
    by_line = client.post("/api/align", json=on_a_line).json()
    assert by_line["factor"] == pytest.approx(1 / 3, rel=0.02)
    assert by_line["slope"] > 0
    assert np.abs(by_line["residual"]).max() < 0.02
    for change, message in (
        ({"mean": found["mean"][:-1]}, "expected as many means and standard deviations as energies"),
        ({"energies": found["energies"][::-1]}, "energies: expected ascending values"),
        ({"std": [-1.0] * energies.size}, "std: expected values of 0 or more"),
    ):
        answer = client.post("/api/align", json=body | {"predicted": body["predicted"] | change})
        assert (answer.status_code, message in answer.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("m.exe", b"MZ", "m.exe: expected a file ending in .txt"),
        ("m.txt", b"no numbers", "m.txt: no row of two or more numbers"),
        (
            "m.xdi",
            b"# XDI/1.0\n# Column.1: angle\n# Column.2: mu\n#---\n1 2\n2 3\n",
            "m.xdi: expected energies, received",
        ),
        ("m.nxs", b"\x89HDF\r\n\x1a\n and no more", "m.nxs: cannot be read as NeXus"),
    ],
)
def test_spectra_that_cannot_be_used(client, name, data, message):
    answer = client.post("/api/experiment", files={"file": (name, data)})
    assert answer.status_code == 422
    assert message in answer.json()["error"]
    assert "/tmp" not in answer.json()["error"]


def test_a_file_on_which_hdf5_hangs(predicted, tmp_path):
    """Such a file is read in a separate process, which is killed."""
    with PredictionStore(predicted) as store:
        export(store, tmp_path / "nexus", "nexus")
    path = sorted((tmp_path / "nexus").glob("*.nxs"))[0]
    there, apart = read_experiment(path), read_apart(path)
    for own in (apart, read_spectrum_file(path.name, path.read_bytes(), Limits())):
        np.testing.assert_array_equal(own.energies, there.energies)
        np.testing.assert_array_equal(own.intensities, there.intensities)
        assert (own.unit, own.absolute, own.e_edge) == (there.unit, there.absolute, there.e_edge)
    with pytest.raises(FormatError, match=r"reading exceeded 0 s"):
        read_apart(path, 0.0)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(FormatError, match="cannot be read as NeXus"):
        read_apart(path)


def test_the_page_loads_everything_from_the_server(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("main.js", "page.css", "plotly.js"):
        assert f"/static/{name}" in page.text
    for name in serving.STATIC:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        for imported in re.findall(r'from "\./(.+?)"', "" if name == serving.PLOTLY else answer.text):
            assert imported in serving.STATIC
        assert name == serving.PLOTLY or "http" not in answer.text
    for name in ("..%2f..%2fconfig.py", "page.html", "__init__.py"):
        assert client.get(f"/static/{name}").status_code == 404
    known = client.get("/api/model").json()
    assert known["absorbers"]["Fe"] == ["K"]


def test_other_websites_are_refused(client):
    assert client.get("/api/model", headers={"Host": "evil.example"}).status_code == 400
    answer = client.post("/api/predict", json=asked(), headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    answer = client.post("/api/predict", json=asked(), headers={"Origin": "http://testserver"})
    assert answer.status_code == 200
    long = client.post("/api/predict", content=b"x" * (17 << 20), headers={"Content-Type": "application/json"})
    assert long.status_code == 413
    unsaid = client.post("/api/predict", content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert unsaid.status_code == 411


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_brings_it_down(app, mode):
    """Requests generated from its own description, valid and invalid, never cause a server error."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    asked_for, answers = set(), set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # it takes no input

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def ask(case):
            answer = case.call()
            answers.add(answer.status_code)
            assert answer.status_code < 500

        ask()
        asked_for.add(operation.path)
    named = ("predict", "explain", "structures", "experiment", "normalise", "align", "match", "fit", "export/{kind}")
    assert {f"/api/{name}" for name in named} <= asked_for
    assert answers >= ({200, 422} if mode is GenerationMode.POSITIVE else {422})


def test_a_file_that_points_into_others_is_refused(client, tmp_path):
    write(tmp_path / "secret.dat", "secret" * 20)
    with h5py.File(tmp_path / "x.nxs", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["NX_class"], group.attrs["signal"] = "NXdata", "data"
        group["energy"] = np.arange(7100.0, 7130.0)
        group.create_dataset("data", (30,), "u1", external=[(str(tmp_path / "secret.dat"), 0, 30)])
    answer = client.post("/api/experiment", files={"file": ("x.nxs", (tmp_path / "x.nxs").read_bytes())})
    assert (answer.status_code, "expected data in this file" in answer.json()["error"]) == (422, True)


def test_uploads_by_hand():
    limits = Limits(structures=2)
    found = list(read_structure_file("a.xyz", frame(WATER_OF_IRON).encode() * 4, limits))
    assert len(found) == 3  # one more than the limit, to detect that there are more
    with pytest.raises(FormatError, match=r"a: expected a file ending in"):
        list(read_structure_file("a", b"1", limits))
    with pytest.raises(FormatError, match="empty"):
        read_spectrum_file("a.txt", b" \n", limits)


def test_warming_up_predicts(model):
    warm_up(SitePredictor(Model.open(model), draws=2))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "99999"], "99999 is not in the range 0<=x<=65535"),
        (["--host", "203.0.113.7"], "--host 203.0.113.7 --port 8050: cannot listen there"),
    ],
)
def test_invalid_commands(model, capsys, words, message):
    assert run("serve", "--model", model, *words) == 2
    assert message in capsys.readouterr().err


def test_the_command_answers_as_soon_as_it_prints_its_address(model):
    command = [sys.executable, "-m", "xanes_hpc", "serve", "--model", model, "--port", "0", "--draws", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        address = re.findall(r"http://\S+", server.stdout.readline())[0]
        with urllib.request.urlopen(f"{address}/api/model", timeout=20) as answer:
            assert json.load(answer)["absorbers"]["Fe"] == ["K"]
        server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130)
        assert "Traceback" not in server.stderr.read()
