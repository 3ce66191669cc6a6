// The structure in 3D.

import { by, ink } from "./elements.js";
import { atomValues } from "./explanation.js";
import { clear, plot } from "./plots.js";
import { when } from "./state.js";
import { absorber, chooseAbsorber, structure } from "./structures.js";

const DISTANCE = 1.15;
const [RAISES, LOWERS, NEITHER] = [[213, 94, 0], [0, 114, 178], [200, 200, 200]];
const view = { around: 0.8, up: 0.45 };

const eye = () => {
  const { around, up } = view;
  return {
    x: DISTANCE * Math.cos(around) * Math.cos(up), y: DISTANCE * Math.sin(around) * Math.cos(up), z: DISTANCE * Math.sin(up),
  };
};

function turn(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!step || !structure()) return;
  event.preventDefault();
  view.around += step[0] * 0.15;
  view.up = Math.max(-1.5, Math.min(1.5, view.up + step[1] * 0.15));
  Plotly.relayout("atoms", { "scene.camera.eye": eye() });
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
  return { type: "scatter3d", mode: "lines", ...axes(lines), hoverinfo: "skip", line: { color: ink(), width: 1.5 } };
}

const axes = (places) => Object.fromEntries(["x", "y", "z"].map((name, axis) => [name, places.map((p) => p[axis])]));

function layout(own) {
  const places = [...own.positions, ...own.images.positions, ...corners(own.cell)];
  const middle = [0, 1, 2].map((axis) => places.map((p) => p[axis]).reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity])).map(([low, high]) => (low + high) / 2);
  const half = 0.8 + places.reduce((far, p) => Math.max(far, Math.hypot(...p.map((v, axis) => v - middle[axis]))), 0); // so that no turn moves an atom out of sight
  const [x, y, z] = middle.map((centre) => ({ visible: false, range: [centre - half, centre + half] }));
  return {
    margin: { l: 0, r: 0, t: 0, b: 0 },
    showlegend: false,
    scene: { xaxis: x, yaxis: y, zaxis: z, aspectmode: "cube", dragmode: "orbit", camera: { eye: eye() } },
    uirevision: by("structure").value,
  };
}

/** Return the colour of every atom: by element, or by its effect on the energies looked at. */
function colours(own) {
  const values = atomValues();
  if (!values) return own.colours;
  const most = Math.max(...[...values.values()].map(Math.abs), 1e-12);
  return own.symbols.map((_, k) => {
    const share = (values.get(k) || 0) / most;
    const mixed = NEITHER.map((grey, c) => Math.round(grey + Math.abs(share) * ((share > 0 ? RAISES : LOWERS)[c] - grey)));
    return `rgb(${mixed.join(",")})`;
  });
}

function traces(own) {
  const shown = colours(own);
  const { atoms: of, positions: there } = own.images;
  const places = [...own.positions, ...there];
  const chosen = absorber();
  const one = chosen < 0 ? [] : [chosen];
  const outline = { color: "#333333", width: 1 };
  const bonds = {
    type: "scatter3d", mode: "lines", ...axes(own.bonds.flatMap(([i, j]) => [places[i], places[j], [null, null, null]])),
    hoverinfo: "skip", line: { color: "#888888", width: 5 },
  };
  const atoms = {
    type: "scatter3d", mode: "markers", ...axes(own.positions),
    text: own.symbols.map((symbol, k) => `${symbol}, atom ${k}`), hoverinfo: "text",
    marker: { size: own.radii.map((r, k) => (k === chosen ? 26 : 8 + 10 * r)), color: shown, opacity: 1, line: outline },
  };
  const marked = {
    type: "scatter3d", mode: "markers", ...axes(one.map((k) => own.positions[k])), hoverinfo: "skip",
    marker: { size: 32, color: "#0072B2", opacity: 0.3, line: { width: 0 } },
  };
  const images = {
    type: "scatter3d", mode: "markers", text: of.map((k) => `periodic image of ${own.symbols[k]}, atom ${k}`), hoverinfo: "text",
    ...axes(there), marker: { size: of.map((k) => 8 + 10 * own.radii[k]), color: of.map((k) => shown[k]), opacity: 0.45, line: outline },
  };
  return [bonds, atoms, marked, images, cellEdges(own.cell)];
}

function picked(event) {
  const { curveNumber, pointNumber } = event.points[0];
  const k = curveNumber === 3 ? structure().images.atoms[pointNumber] : pointNumber;
  if ([1, 3].includes(curveNumber) && structure().absorbers.includes(k)) chooseAbsorber(k);
}

function draw() {
  const own = structure();
  if (!own) {
    clear("atoms");
    by("atoms-words").textContent = "";
    return;
  }
  plot("atoms", traces(own), layout(own), "plotly_click", picked);
  const chosen = absorber();
  by("atoms-words").textContent = chosen < 0 ? "" : `The absorber, ${own.symbols[chosen]} ${chosen}, has a blue halo. Click another to choose it; drag or use the arrow keys to turn.`;
}

export function startViewer() {
  when("structure effects", draw);
  by("atoms").addEventListener("keydown", turn);
}
