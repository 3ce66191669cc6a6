// Which atoms a range of energies rests on: what the spectrum loses there without each.

import { rangeText, remember, restoredRange } from "./address.js";
import { by, numberIn } from "./elements.js";
import { site } from "./prediction.js";
import { ask } from "./requests.js";
import { changed, state, when } from "./state.js";
import { structure } from "./structures.js";

const NAMED = 4; // atoms named in words
const HALF = 2; // half-width of the first range, eV
let range = null;
let on = false;
let asked = 0;

/** Return the energies looked at; null while nothing is explained. */
export const explained = () => (on && state.effects ? range : null);

/** Return each atom's mean effect in the range, as a map; null while nothing is explained. */
export function atomValues() {
  const { effects } = state;
  if (!on || !effects) return null;
  const inside = effects.energies.map((e, k) => k).filter((k) => effects.energies[k] >= range[0] && effects.energies[k] <= range[1]);
  return new Map(effects.atoms.map((atom, n) => [atom, inside.reduce((sum, k) => sum + effects.effects[n][k], 0) / (inside.length || 1)]));
}

/** Look at other energies. */
export function look(from, to) {
  if (!(from < to)) return;
  range = [from, to];
  fill();
  tell();
  changed("effects");
}

function fill() {
  for (const [k, id] of ["explain-from", "explain-to"].entries()) {
    by(id).disabled = !range;
    if (document.activeElement !== by(id)) by(id).value = range ? Number(range[k].toFixed(1)) : "";
  }
}

function tell() {
  const values = atomValues();
  if (!values) return;
  const { atoms, distances } = state.effects;
  const own = structure();
  const strongest = atoms.map((atom, k) => ({ atom, distance: distances[k], value: values.get(atom) })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, NAMED);
  const words = strongest.map(({ atom, distance, value }) => `${own.symbols[atom]} ${atom} at ${distance.toFixed(2)} Å (${value < 0 ? "−" : "+"}${Math.abs(value).toPrecision(2)})`);
  by("explain-words").textContent = words.length ? `Mean change due to each atom: orange raises the spectrum, blue lowers it. Strongest: ${words.join(", ")}.` : "No other atom is near enough to matter.";
}

async function explain() {
  const number = ++asked;
  const wanted = site();
  try {
    const found = await ask("/api/explain", wanted);
    if (number !== asked || !on) return;
    state.effects = found;
    tell();
  } catch (error) {
    if (number !== asked) return;
    state.effects = null;
    by("explain-words").textContent = error.message;
  }
  changed("effects");
}

function turn(wanted) {
  on = wanted;
  by("explain").setAttribute("aria-pressed", on);
  by("explain").textContent = on ? "Colour by element" : "Colour the atoms";
}

function toggle() {
  turn(!on);
  if (on) return explain();
  asked += 1;
  state.effects = null;
  enabled();
  changed("effects");
}

function enabled() {
  const { predicted } = state;
  by("explain-words").textContent = predicted ? "Colours each atom by how much the spectrum between these energies changes without it." : "Open a structure that the model knows first.";
  by("explain").disabled = !predicted;
}

function predicted() {
  enabled();
  const { predicted: own } = state;
  if (own && (!range || range[0] > own.energies.at(-1) || range[1] < own.energies[0])) {
    const peak = own.energies[own.mean.indexOf(Math.max(...own.mean))];
    range = [peak - HALF, peak + HALF];
  }
  fill();
  if (on && own) explain();
}

export function startExplanation() {
  range = restoredRange("explain");
  if (range) turn(true);
  remember("explain", () => (on ? rangeText(range) : null));
  by("explain").addEventListener("click", toggle);
  for (const id of ["explain-from", "explain-to"]) by(id).addEventListener("input", () => look(numberIn("explain-from"), numberIn("explain-to")));
  when("site", () => { state.effects = null; });
  when("prediction", predicted);
  predicted();
}
