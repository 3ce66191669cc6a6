"use strict";

const by = (id) => document.getElementById(id);
const COLOURS = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#D55E00"];
const DASHES = ["solid", "dash", "dashdot", "longdash"];
const SPECTRA = /\.(txt|dat|csv|xmu|nor|nxs|xdi)$/i;
const PREDICTION = "#0072B2";
const state = { model: null, structures: [], predicted: null, kept: [], measured: null, shift: 0, factor: 1, asked: 0, noAbsorber: "", view: { around: 0.8, up: 0.45 } };

const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const ink = () => (dark() ? "#eeeeee" : "#111111");
const shade = (k) => (dark() ? `rgba(86,180,233,${k === 2 ? 0.28 : 0.45})` : `rgba(0,114,178,${k === 2 ? 0.18 : 0.3})`);

async function ask(path, body) {
  const isForm = body instanceof FormData;
  const options = body === undefined ? {} : {
    method: "POST",
    body: isForm ? body : JSON.stringify(body),
    headers: isForm ? {} : { "Content-Type": "application/json" },
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("xanes-hpc serve does not answer; check that it is still running");
  }
  const type = response.headers.get("content-type") || "";
  const answer = type.includes("json") ? await response.json() : await response.text();
  if (!response.ok) throw new Error(answer.error || `request failed (status ${response.status})`);
  return answer;
}

function problems(texts) {
  const every = state.noAbsorber ? [...texts, state.noAbsorber] : texts;
  by("problems").replaceChildren(...every.map((text) => {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }));
}

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, String(value) === String(chosen))));
  select.disabled = entries.length === 0;
}

async function take(files) {
  if (!files.length) return;
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  try {
    const total = [...files].reduce((sum, file) => sum + file.size, 0);
    const { limits } = state.model;
    if (files.length > limits.files) throw new Error(`expected at most ${limits.files} files at a time, received ${files.length}`);
    if (total > limits.files * limits.bytes) throw new Error(`files too large: expected at most ${(limits.files * limits.bytes) / 2 ** 20} MiB in total`);
    const found = await ask("/api/structures", form);
    problems(found.errors);
    if (!found.structures.length) return;
    state.noAbsorber = "";
    problems(found.errors);
    const first = state.structures.length;
    state.structures.push(...found.structures);
    options(by("structure"), state.structures.map((s, k) => [k, `${s.name} (${s.formula})`]), first);
    by("structure-drop").disabled = false;
    choose();
  } catch (error) {
    problems([error.message]);
  }
}

function pasted() {
  const text = by("paste").value;
  if (!text.trim()) return problems(["paste the text of a structure file first"]);
  return take([new File([text.endsWith("\n") ? text : `${text}\n`], pastedName(text))]);
}

function dropped(transfer) {
  const files = [...transfer.files];
  const measured = files.filter((file) => SPECTRA.test(file.name));
  if (measured.length > 1) problems(["only one measured spectrum at a time; the first one is used"]);
  if (measured.length) measure(measured[0]);
  const others = files.filter((file) => !SPECTRA.test(file.name));
  const text = transfer.getData("text/plain");
  if (!files.length && text.trim()) others.push(new File([`${text}\n`], pastedName(text)));
  return take(others);
}

function pastedName(text) {
  if (/^\s*(#.*\n|\s)*data_/m.test(text) && /_cell_length_a|_atom_site/.test(text)) return "pasted.cif";
  const three = (line) => /^\s*(-?[\d.]+([eE][-+]?\d+)?\s+){2}-?[\d.]+/.test(line || "");
  const lines = text.split("\n");
  return lines.length > 7 && !/^\s*\d+\s*$/.test(lines[0]) && lines.slice(2, 5).every(three) ? "POSCAR" : "pasted.xyz";
}

const structure = () => state.structures[Number(by("structure").value)];

function removeStructure() {
  state.structures.splice(Number(by("structure").value), 1);
  options(by("structure"), state.structures.map((s, k) => [k, `${s.name} (${s.formula})`]), 0);
  by("structure-drop").disabled = !state.structures.length;
  state.noAbsorber = "";
  problems([]);
  if (state.structures.length) return choose();
  state.asked += 1;
  state.predicted = null;
  options(by("absorber"), []);
  options(by("edge"), []);
  by("trust").className = "";
  by("trust").textContent = "Choose a structure to see its spectrum.";
  Plotly.purge("atoms");
  by("atoms").listening = false;
  return drawSpectrum();
}

function choose() {
  const own = structure();
  state.noAbsorber = "";
  options(by("absorber"), own.absorbers.map((k) => [k, `${own.symbols[k]} (atom ${k})`]), own.absorbers[0]);
  drawAtoms();
  if (!own.absorbers.length) {
    state.asked += 1; // drop the answer for the previous structure
    by("trust").className = "";
    by("trust").textContent = "";
    by("measured-status").textContent = state.measured ? state.measured.name : "";
    const known = Object.keys(state.model.absorbers).join(", ");
    state.noAbsorber = `${own.name}: contains none of the elements that the model was trained on (${known})`;
    problems([]);
    state.predicted = null;
    options(by("edge"), []);
    return drawSpectrum();
  }
  return chooseEdge();
}

function chooseEdge() {
  const own = structure();
  const edges = state.model.absorbers[own.symbols[Number(by("absorber").value)]] || [];
  options(by("edge"), edges.map((edge) => [edge, edge]), edges[0]);
  drawAtoms();
  return predict();
}

function broadening() {
  const raw = !state.model.broadened;
  const name = raw ? by("recipe").value : "gaussian";
  const gaussian = Number(by("gaussian").value);
  if (name === "gaussian") return gaussian > 0 ? { name, gaussian } : { name: "none" };
  const found = { name, gaussian, core_hole: Number(by("core_hole").value), e_cut: Number(by("e_cut").value) };
  if (name !== "lorentzian") found.gamma_max = Number(by("gamma_max").value);
  return found;
}

function widths({ name, gaussian, core_hole: hole, gamma_max: gamma }) {
  if (name === "none") return "";
  const core = name === "gaussian" ? [] : [`${name} ${hole}${gamma ? `, ${gamma}` : ""} eV`];
  return `, ${[...core, ...(gaussian ? [`resolution ${gaussian} eV`] : [])].join(", ")}`;
}

function request() {
  const own = structure();
  const given = { name: own.name, numbers: own.numbers, positions: own.positions, cell: own.cell };
  for (const name of ["charge", "spin"]) if (own[name] !== undefined) given[name] = own[name];
  for (const name of state.model.properties) {
    if (by(name) && by(name).value !== "") given[name] = Number(by(name).value);
  }
  return { structure: given, absorber: Number(by("absorber").value), edge: by("edge").value, broadening: broadening() };
}

const labelOf = (asked, found) => `${asked.structure.name}, ${found.element} ${asked.absorber}${widths(asked.broadening)}`;

async function predict() {
  const number = ++state.asked;
  try {
    const asked = request();
    const found = await ask("/api/predict", asked);
    if (number !== state.asked) return; // a later request is pending
    state.predicted = { ...found, label: labelOf(asked, found), asked, key: JSON.stringify(asked) };
    const trust = by("trust");
    trust.className = found.distrust ? "no" : "yes";
    trust.textContent = found.distrust ? `Out of domain – ${found.distrust}. Do not trust this spectrum.` : "This structure is similar to the training set.";
  } catch (error) {
    if (number !== state.asked) return;
    state.predicted = null;
    by("trust").className = "no";
    by("trust").textContent = error.message;
  }
  drawSpectrum();
  if (state.measured && state.predicted) await align();
}

function scene(own) {
  const places = [...own.positions, ...own.images.positions, ...corners(own.cell)];
  const ends = [0, 1, 2].map((axis) => places.map((p) => p[axis]).reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]));
  const half = 1.2 + Math.max(...ends.map(([low, high]) => high - low)) / 2; // room for the atoms at the ends
  const [x, y, z] = ends.map(([low, high]) => ({ visible: false, range: [(low + high) / 2 - half, (low + high) / 2 + half] }));
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 },
    paper_bgcolor: "rgba(0,0,0,0)",
    showlegend: false,
    scene: { xaxis: x, yaxis: y, zaxis: z, aspectmode: "cube", dragmode: "orbit", camera: { eye: eyeOf() } },
    uirevision: by("structure").value,
  };
}

const eyeOf = () => {
  const { around, up } = state.view;
  return { x: 1.75 * Math.cos(around) * Math.cos(up), y: 1.75 * Math.sin(around) * Math.cos(up), z: 1.75 * Math.sin(up) };
};

function turn(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!step || !structure()) return;
  event.preventDefault();
  const { around, up } = state.view;
  state.view = { around: around + step[0] * 0.15, up: Math.max(-1.5, Math.min(1.5, up + step[1] * 0.15)) };
  Plotly.relayout("atoms", { "scene.camera.eye": eyeOf() });
}

function corners(cell) {
  const steps = cell ? [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n & 1, (n >> 1) & 1, n >> 2]) : [];
  return steps.map(([i, j, k]) => [0, 1, 2].map((axis) => i * cell[0][axis] + j * cell[1][axis] + k * cell[2][axis]));
}

function cellEdges(cell) {
  const places = corners(cell);
  const lines = [];
  for (let n = 0; n < places.length; n += 1) {
    for (const step of [1, 2, 4]) if (!(n & step)) lines.push(places[n], places[n | step], [null, null, null]);
  }
  const [x, y, z] = [0, 1, 2].map((axis) => lines.map((p) => p[axis]));
  return { type: "scatter3d", mode: "lines", x, y, z, hoverinfo: "skip", line: { color: ink(), width: 1.5 } };
}

function drawAtoms() {
  const own = structure();
  const [x, y, z] = [0, 1, 2].map((axis) => own.positions.map((p) => p[axis]));
  const places = [...own.positions, ...own.images.positions];
  const ends = (axis) => own.bonds.flatMap(([i, j]) => [places[i][axis], places[j][axis], null]);
  const chosen = by("absorber").value === "" ? -1 : Number(by("absorber").value);
  const bonds = {
    type: "scatter3d", mode: "lines", x: ends(0), y: ends(1), z: ends(2), hoverinfo: "skip",
    line: { color: "#888888", width: 5 },
  };
  const atoms = {
    type: "scatter3d", mode: "markers", x, y, z,
    text: own.symbols.map((symbol, k) => `${symbol}, atom ${k}`), hoverinfo: "text",
    marker: {
      size: own.radii.map((r, k) => (k === chosen ? 26 : 8 + 10 * r)), color: own.colours, opacity: 1,
      line: { color: "#333333", width: 1 },
    },
  };
  const of = own.images.atoms;
  const images = {
    type: "scatter3d", mode: "markers", text: of.map((k) => `periodic image of ${own.symbols[k]}, atom ${k}`), hoverinfo: "text",
    x: own.images.positions.map((p) => p[0]), y: own.images.positions.map((p) => p[1]), z: own.images.positions.map((p) => p[2]),
    marker: { size: of.map((k) => 8 + 10 * own.radii[k]), color: of.map((k) => own.colours[k]), opacity: 0.45, line: { color: "#333333", width: 1 } },
  };
  const one = chosen < 0 ? [] : [chosen];
  const absorber = {
    type: "scatter3d", mode: "markers+text", x: one.map((k) => x[k]), y: one.map((k) => y[k]), z: one.map((k) => z[k]),
    text: one.map((k) => `${own.symbols[k]} ${k}`), textposition: "top center", textfont: { color: ink(), size: 14 }, hoverinfo: "skip",
    marker: { size: 34, color: "#0072B2", opacity: 0.35, line: { width: 0 } },
  };
  Plotly.react("atoms", [bonds, atoms, absorber, images, cellEdges(own.cell)], scene(own), { displayModeBar: false, responsive: true });
  const view = by("atoms");
  if (!view.listening) {
    view.listening = true;
    view.on("plotly_click", (event) => {
      const { curveNumber, pointNumber } = event.points[0];
      const k = curveNumber === 3 ? structure().images.atoms[pointNumber] : pointNumber;
      if ([1, 3].includes(curveNumber) && structure().absorbers.includes(k)) {
        by("absorber").value = k;
        chooseEdge();
      }
    });
  }
}

const axisOf = (found) => found.energies;

function curve(found, colour, name, band, dash = "solid") {
  const x = axisOf(found);
  const up = found.mean.map((y, i) => y + 2 * found.std[i]);
  const down = found.mean.map((y, i) => y - 2 * found.std[i]);
  const traces = [];
  if (band) {
    for (const k of [2, 1]) {
      const above = k === 2 ? up : found.mean.map((y, i) => y + found.std[i]);
      const below = k === 2 ? down : found.mean.map((y, i) => y - found.std[i]);
      traces.push({
        x: [...x, ...[...x].reverse()], y: [...above, ...[...below].reverse()], fill: "toself", mode: "lines",
        line: { width: 0 }, fillcolor: shade(k), hoverinfo: "skip",
        name: "±1σ, ±2σ", showlegend: k === 1, legendgroup: "band",
      });
    }
  }
  traces.push({ x, y: found.mean, mode: "lines", name, line: { color: colour, width: 2, dash } });
  return traces;
}

function measuredTrace() {
  const { measured, shift, factor } = state;
  const predicted = state.predicted || state.kept[0];
  if (!measured || !predicted) return [];
  const { e0 } = predicted;
  let offset = -shift;
  const isAbsolute = measured.absolute === null ? measured.energies[0] > 0.5 * (e0 || Infinity) : measured.absolute;
  if (predicted && predicted.origin === "e0" && isAbsolute) offset -= e0 || 0;
  if (predicted && predicted.origin === "absolute" && !isAbsolute) offset += e0 || 0;
  return [{
    x: measured.energies.map((e) => e + offset), y: measured.intensities.map((y) => y * factor), mode: "lines",
    name: measured.name, line: { color: ink(), width: 1.5, dash: "dot" },
  }];
}

function drawSpectrum() {
  const { predicted, kept } = state;
  const traces = kept.flatMap((own) => curve(own, own.colour, own.label, false, own.dash));
  if (predicted) traces.unshift(...curve(predicted, PREDICTION, predicted.label, true));
  traces.push(...measuredTrace());
  const first = predicted || kept[0];
  const relative = !first || first.origin === "e0";
  const edge = first && (relative ? 0 : first.e0);
  const range = first ? [first.energies[0], first.energies[first.energies.length - 1]] : undefined;
  const unit = first && first.unit !== "arbitrary" ? ` (${first.unit})` : "";
  const narrow = innerWidth < 600;
  const shown = traces.filter((trace) => trace.showlegend !== false).length;
  const below = narrow ? 29 * shown + 10 : 0; // height of the legend, one entry per line
  by("spectrum").style.height = narrow ? `${320 + below}px` : "";
  const legend = narrow ? { orientation: "v", x: 0, yref: "container", y: 0, yanchor: "bottom" } : { orientation: "h", y: 1.02, yanchor: "bottom" };
  const doubt = predicted && predicted.distrust ? [{ x: 1, y: 1, xref: "paper", yref: "paper", text: "out of domain", font: { color: "#d55e00" }, showarrow: false, xanchor: "right", yanchor: "top" }] : [];
  Plotly.react("spectrum", traces, {
    height: narrow ? 320 + below : by("spectrum").clientHeight,
    margin: { l: 55, r: 15, t: 10, b: 45 + below },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink() },
    xaxis: { visible: Boolean(first), title: { text: relative ? "E − E₀ (eV)" : "energy (eV)" }, range, gridcolor: "#8884", zeroline: false },
    yaxis: { visible: Boolean(first), title: { text: `intensity${unit}` }, gridcolor: "#8884", rangemode: "tozero" },
    legend,
    shapes: first && edge !== null ? [{ type: "line", x0: edge, x1: edge, yref: "paper", y0: 0, y1: 1, line: { color: "#888888", dash: "dash", width: 1.5 } }] : [],
    annotations: [...doubt, ...(first && edge !== null ? [{ x: edge, y: 1, yref: "paper", text: "E₀", showarrow: false, xanchor: "left", yanchor: "top", bgcolor: dark() ? "#121212b0" : "#ffffffb0" }] : [])],
    uirevision: "kept",
  }, { displayModeBar: false, responsive: true });
  for (const id of ["keep", "csv", "xdi"]) by(id).disabled = !predicted;
  by("png").disabled = !predicted && !kept.length;
  by("align").disabled = !(predicted && state.measured);
  by("measured-drop").disabled = !state.measured;
  by("shift").disabled = !state.measured;
}

async function measure(file) {
  if (!file) return;
  const form = new FormData();
  form.append("file", file, file.name);
  try {
    state.measured = await ask("/api/experiment", form);
    unaligned();
    by("measured-status").textContent = `${state.measured.name}: ${state.measured.energies.length} points`;
    by("measured-notes").textContent = state.measured.notes.join("; ");
    drawSpectrum();
    if (state.predicted) await align();
  } catch (error) {
    by("measured-status").textContent = error.message;
    by("measured-notes").textContent = "";
  }
}

function unaligned() {
  const highest = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
  const { measured, predicted } = state;
  state.shift = 0;
  state.factor = predicted ? highest(predicted.mean) / (highest(measured.intensities) || 1) : 1;
}

async function align() {
  const { measured, predicted } = state;
  try {
    const found = await ask("/api/align", {
      experiment: { energies: measured.energies, intensities: measured.intensities, absolute: measured.absolute },
      energies: predicted.energies, mean: predicted.mean, std: predicted.std, e0: predicted.e0, origin: predicted.origin,
    });
    [state.shift, state.factor] = [found.shift, found.factor];
    by("shift").value = (-found.shift).toFixed(2);
    by("measured-status").textContent = `${measured.name}: shifted by ${(-found.shift).toFixed(2)} eV, scaled by ${found.factor.toPrecision(3)}; error ${found.error_percent.toFixed(1)} %`;
    const limit = Math.abs(found.shift) >= found.max_shift - 1e-6;
    if (limit || found.error_percent > 50) by("measured-status").textContent += " – no good match within 10 eV";
    if (predicted !== state.predicted) return; // the prediction has changed meanwhile
  } catch (error) {
    unaligned();
    by("measured-status").textContent = `${measured.name}: ${error.message}`;
  }
  drawSpectrum();
}

function keep() {
  if (!state.predicted || state.kept.some((own) => own.key === state.predicted.key)) return;
  const n = state.kept.length;
  const style = { colour: COLOURS[n % COLOURS.length], dash: DASHES[Math.floor(n / COLOURS.length) % DASHES.length] };
  state.kept.push({ ...state.predicted, ...style });
  listKept();
}

async function broadenAll() {
  if (state.predicted) await predict();
  const wanted = broadening();
  if (!by("broaden-kept").checked) return;
  for (const own of [...state.kept]) {
    const asked = { ...own.asked, broadening: wanted };
    const key = JSON.stringify(asked);
    if (key === own.key) continue;
    try {
      const found = await ask("/api/predict", asked);
      const at = state.kept.indexOf(own);
      if (JSON.stringify(wanted) !== JSON.stringify(broadening())) return; // the sliders have moved meanwhile
      if (at >= 0) state.kept[at] = { ...own, ...found, label: labelOf(asked, found), asked, key };
    } catch (error) {
      problems([`${own.label}: ${error.message}`]);
    }
  }
  listKept();
}

function listKept() {
  by("kept").replaceChildren(...state.kept.map((own, k) => {
    const line = document.createElement("li");
    const swatch = document.createElement("i");
    swatch.style.background = own.colour;
    const text = document.createElement("span");
    text.textContent = own.label + (own.distrust ? " (out of domain)" : "");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove ${own.label}`);
    button.addEventListener("click", () => {
      state.kept.splice(k, 1);
      listKept();
    });
    line.append(swatch, text, button);
    return line;
  }));
  drawSpectrum();
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const fileName = () => structure().name.replace(/[^\w.+()-]+/g, "_");

async function download(kind) {
  try {
    const text = await ask(`/api/export/${kind}`, request());
    save(`${fileName()}.${kind}`, new Blob([text], { type: "text/plain" }));
  } catch (error) {
    problems([error.message]);
  }
}

async function picture() {
  const { data, layout } = by("spectrum");
  const paper = { paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font: { color: "#111111" } };
  const black = (trace) => (trace.line && trace.line.color === ink() ? { ...trace, line: { ...trace.line, color: "#111111" } } : trace);
  const figure = { data: data.map(black), layout: { ...layout, ...paper } };
  const url = await Plotly.toImage(figure, { format: "png", width: 1200, height: 800, scale: 2 });
  const bytes = Uint8Array.from(atob(url.split(",")[1]), (character) => character.charCodeAt(0));
  save(`${state.predicted ? fileName() : "spectra"}.png`, new Blob([bytes], { type: "image/png" }));
}

function sliders() {
  let waiting = 0;
  const changed = () => {
    clearTimeout(waiting);
    waiting = setTimeout(broadenAll, 60);
  };
  for (const input of document.querySelectorAll("input[type=range]")) {
    const output = document.querySelector(`output[for=${input.id}]`);
    input.addEventListener("input", () => {
      output.textContent = `${Number(input.value)} eV`;
      changed();
    });
  }
  by("broaden-kept").addEventListener("change", changed);
  by("recipe").addEventListener("change", () => {
    const name = by("recipe").value;
    const [hole, gamma, cut] = document.querySelectorAll(".raw");
    hole.hidden = cut.hidden = name === "gaussian";
    gamma.hidden = !["arctangent", "seah-dench"].includes(name);
    changed();
  });
}

function coverage({ absorbers, kind }) {
  const byEdge = {};
  for (const [element, edges] of Object.entries(absorbers)) for (const edge of edges) (byEdge[edge] ||= []).push(element);
  return `${Object.entries(byEdge).map(([edge, elements]) => `${elements.join(", ")} ${edge}-edge`).join("; ")} ${kind.toUpperCase()}`;
}

function trainedOn(treatment) {
  if (treatment === "unstated") return "broadening of the training spectra not recorded";
  if (treatment === "none") return "training spectra not broadened";
  if (treatment === "synthetic") return "synthetic training spectra";
  return `treatment of the training spectra: ${treatment}`;
}

async function start() {
  try {
    state.model = await ask("/api/model");
  } catch (error) {
    by("model").textContent = error.message;
    return;
  }
  const { model } = state;
  by("model").textContent = `${model.name}: ${coverage(model)} (${trainedOn(model.treatment)})`;
  by("recipe-row").hidden = model.broadened;
  for (const name of ["charge", "spin"]) {
    by(`${name}-row`).hidden = !model.properties.includes(name);
    by(name).addEventListener("change", () => state.predicted && predict());
  }
  by("files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
  by("paste-use").addEventListener("click", pasted);
  by("structure").addEventListener("change", () => { problems([]); choose(); });
  by("structure-drop").addEventListener("click", removeStructure);
  by("absorber").addEventListener("change", chooseEdge);
  by("edge").addEventListener("change", predict);
  by("measured").addEventListener("change", (event) => { measure(event.target.files[0]); event.target.value = ""; });
  by("align").addEventListener("click", align);
  by("shift").addEventListener("input", () => {
    state.shift = -Number(by("shift").value);
    by("measured-status").textContent = `${state.measured.name}: shifted by ${-state.shift} eV by hand`;
    drawSpectrum();
  });
  by("measured-drop").addEventListener("click", () => { state.measured = null; by("measured-status").textContent = by("measured-notes").textContent = ""; drawSpectrum(); });
  by("keep").addEventListener("click", keep);
  by("csv").addEventListener("click", () => download("csv"));
  by("xdi").addEventListener("click", () => download("xdi"));
  by("png").addEventListener("click", picture);
  const drop = by("drop");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") dropped(event.dataTransfer);
    });
  }
  by("atoms").addEventListener("keydown", turn);
  sliders();
  drawSpectrum();
}

start();
