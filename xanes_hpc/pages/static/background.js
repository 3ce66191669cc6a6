// The normalisation of the measured spectrum: its background and windows, which can be moved.

import { pending, rangeText, remember, restored, restoredNumber, restoredRange } from "./address.js";
import { by, delayed, ink, numberIn } from "./elements.js";
import { measuredIs } from "./measurement.js";
import { chartAxis, chartLayout, plot } from "./plots.js";
import { elementAndEdge } from "./prediction.js";
import { ask } from "./requests.js";
import { state, when } from "./state.js";

const EDGE = "#c25500";
const WINDOWS = { pre: "#8a5fd0", post: "#00875f" };
let chosen = {}; // what the user has set; the rest is chosen by the server
let asked = 0;

async function normalise() {
  const { measured } = state;
  if (!measured) return;
  const number = ++asked;
  const { element, edge, energies, raw, absolute } = measured;
  const other = elementAndEdge(); // for tables that need them
  try {
    const found = await ask("/api/normalise", { experiment: { energies, intensities: raw, absolute }, element: element || other.element, edge: edge || other.edge, ...chosen });
    if (number !== asked || state.measured?.raw !== raw) return;
    measuredIs(found);
    wrong("");
  } catch (error) {
    if (number === asked) wrong(error.message);
  }
}

function wrong(message) {
  Object.assign(by("windows-problem"), { textContent: message, className: message ? "no" : "" });
}

const later = delayed(normalise, 200);

function set(key, value) {
  chosen = { ...chosen, [key]: value };
  later();
}

const ascending = (ends) => [...ends].sort((a, b) => a - b);

function typed(key) {
  const ends = [numberIn(`${key}-from`), numberIn(`${key}-to`)];
  if (ends.every((end) => end !== null)) set(key, ascending(ends));
}

/** Read a drag of a window's edge or of e0. */
function dragged(event) {
  const { e0_ev: e0, pre_ev: pre, post_ev: post } = state.measured.normalisation;
  const windows = { pre, post };
  for (const [k, key] of ["pre", "post"].entries()) {
    const ends = [0, 1].map((n) => event[`shapes[${k + 1}].x${n}`]);
    if (ends.some((end) => end !== undefined)) return set(key, ascending(ends.map((end, n) => (end === undefined ? windows[key][n] : end - e0))));
  }
  const moved = event["shapes[0].x0"];
  if (moved !== undefined) set("e0", moved);
}

function shapes({ e0_ev: e0, pre_ev: pre, post_ev: post }) {
  const across = { yref: "paper", y0: 0, y1: 1 };
  const box = (ends, fillcolor) => ({ ...across, type: "rect", x0: e0 + ends[0], x1: e0 + ends[1], fillcolor, opacity: 0.25, line: { color: fillcolor, width: 1.5 } });
  const edge = { ...across, type: "line", x0: e0, x1: e0, line: { color: EDGE, dash: "dash", width: 2 } };
  return [edge, ...(pre && post ? [box(pre, WINDOWS.pre), box(post, WINDOWS.post)] : [])];
}

function draw() {
  const { measured } = state;
  by("normalisation").hidden = !measured;
  if (!measured) return;
  const { energies, raw, pre_edge: pre, post_edge: post, normalisation } = measured;
  const line = (y, name, color, dash) => (y ? [{ x: energies, y, name, mode: "lines", line: { color, width: 1.5, dash } }] : []);
  const traces = [...line(raw, "measured", ink()), ...line(pre, "pre-edge", WINDOWS.pre, "dash"), ...line(post, "post-edge", WINDOWS.post, "dash")];
  const axis = { ...chartAxis(), fixedrange: true };
  plot("background", traces, {
    ...chartLayout(11), margin: { l: 45, r: 8, t: 4, b: 34 }, showlegend: false, hovermode: "x unified", dragmode: false,
    xaxis: { ...axis, title: { text: "energy (eV)", standoff: 4 }, range: [energies[0], energies.at(-1)], hoverformat: ".1f" },
    yaxis: { ...axis, title: { text: "µ" }, range: around(raw) }, shapes: pre ? shapes(normalisation) : shapes({ e0_ev: normalisation.e0_ev }),
  }, "plotly_relayout", dragged, { edits: { shapePosition: true } });
  fill(normalisation);
}

function around(values) {
  const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  return [low - 0.08 * (high - low), high + 0.08 * (high - low)];
}

function fill({ e0_ev: e0, pre_ev: pre, post_ev: post }) {
  const write = (id, value) => { if (document.activeElement !== by(id)) by(id).value = value === undefined ? "" : Number(value.toFixed(2)); };
  write("e0", e0);
  for (const [key, ends] of [["pre", pre || []], ["post", post || []]]) for (const [k, end] of ["from", "to"].entries()) write(`${key}-${end}`, ends[k]);
  by("method").value = chosen.method || "edge-step";
  by("flatten").checked = chosen.flatten ?? true;
}

/** Start with the windows that the link asks for, or else with those that the server chose. */
function uploaded() {
  chosen = {};
  wrong("");
  if (pending("measured")) return; // the link asks for windows of another file
  for (const key of ["pre", "post"]) {
    const ends = restoredRange(key);
    if (ends) chosen[key] = ends;
  }
  const e0 = restoredNumber("e0");
  if (e0 !== null) chosen.e0 = e0;
  const method = restored("method");
  if (method) chosen.method = method;
  if (restored("flatten") === "no") chosen.flatten = false;
  if (Object.keys(chosen).length) normalise();
}

export function startBackground() {
  for (const key of ["pre", "post"]) {
    for (const end of ["from", "to"]) by(`${key}-${end}`).addEventListener("input", () => typed(key));
    remember(key, () => state.measured && rangeText(chosen[key]));
  }
  by("e0").addEventListener("input", () => numberIn("e0") !== null && set("e0", numberIn("e0")));
  by("method").addEventListener("change", () => set("method", by("method").value));
  by("flatten").addEventListener("change", () => set("flatten", by("flatten").checked));
  by("windows-reset").addEventListener("click", () => { chosen = {}; normalise(); });
  remember("e0", () => state.measured && chosen.e0?.toFixed(2));
  remember("method", () => state.measured && chosen.method);
  remember("flatten", () => (state.measured && chosen.flatten === false ? "no" : null));
  when("upload", uploaded);
  when("measurement", draw);
}
