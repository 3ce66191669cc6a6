// The open structures, and which of them, which absorber and which edge are chosen.

import { forget, pending, remember, restored, restoredNumber, tellMissing } from "./address.js";
import { by, options, problems } from "./elements.js";
import { changed, state } from "./state.js";

export const structure = () => state.structures[Number(by("structure").value)];

export const absorber = () => (by("absorber").value === "" ? -1 : Number(by("absorber").value));

/** Whether all sites of the absorber's element are averaged. */
export const averaged = () => !by("average-row").hidden && by("average").checked;

function list(chosen) {
  options(by("structure"), state.structures.map((s, k) => [k, `${s.name} (${s.formula})`]), chosen);
  by("structure-drop").disabled = !state.structures.length;
}

/** Open structures, and choose the first of them, or the one that the link asks for. */
export function add(structures) {
  const untouched = state.structures.length === 1 && state.structures[0].example;
  if (untouched) state.structures = [];
  const first = state.structures.length;
  state.structures.push(...structures);
  const asked = structures.findIndex((own) => own.name === pending("structure"));
  list(first + Math.max(asked, 0));
  return choose();
}

function remove() {
  state.structures.splice(Number(by("structure").value), 1);
  list(0);
  state.noAbsorber = "";
  problems([]);
  if (state.structures.length) return choose();
  options(by("absorber"), []);
  return nothing("Open a structure to see its spectrum.");
}

function nothing(trust) {
  state.asked += 1; // drop the answer for the previous structure
  state.predicted = null;
  options(by("edge"), []);
  by("average-row").hidden = true;
  by("trust").className = "";
  by("trust").textContent = trust;
  state.effects = null;
  changed("structure");
  changed("prediction");
}

function choose() {
  const own = structure();
  state.noAbsorber = "";
  options(by("absorber"), own.absorbers.map((k) => [k, `${own.symbols[k]} (atom ${k})`]), own.absorbers[0]);
  if (!own.absorbers.length) {
    const known = Object.keys(state.model.absorbers).join(", ");
    state.noAbsorber = `${own.name}: contains none of the elements that the model was trained on (${known})`;
    problems([]);
    return nothing("");
  }
  let atom = own.absorbers[0];
  let edge = null;
  by("average").checked = false;
  if (pending("structure") === own.name) {
    const asked = restoredNumber("absorber");
    if (own.absorbers.includes(asked)) atom = asked;
    edge = restored("edge");
    by("average").checked = restored("average") !== null;
    forget("structure");
    tellMissing();
  }
  return chooseAbsorber(atom, edge);
}

/** Choose an absorber of the structure by its atom, and an edge. */
export function chooseAbsorber(atom, edge = null) {
  by("absorber").value = atom;
  const own = structure();
  const symbol = own.symbols[atom];
  const edges = state.model.absorbers[symbol] || [];
  options(by("edge"), edges.map((name) => [name, name]), edges.includes(edge) ? edge : edges[0]);
  const n = own.symbols.filter((other) => other === symbol).length;
  by("average-row").hidden = n < 2;
  by("average-label").textContent = `Average over all ${n} ${symbol}`;
  state.effects = null;
  changed("structure");
  changed("site");
}

export function startStructures() {
  remember("structure", () => structure()?.name);
  remember("absorber", () => (absorber() < 0 ? null : absorber()));
  remember("edge", () => by("edge").value);
  remember("average", () => (averaged() ? "yes" : null));
  by("structure").addEventListener("change", () => { forget("structure", "absorber", "edge", "average"); tellMissing(); problems([]); choose(); });
  by("structure-drop").addEventListener("click", remove);
  by("absorber").addEventListener("change", () => chooseAbsorber(absorber()));
  for (const id of ["edge", "average"]) by(id).addEventListener("change", () => changed("site"));
  for (const name of ["charge", "spin"]) {
    by(`${name}-row`).hidden = !state.model.properties.includes(name);
    by(name).addEventListener("change", () => state.predicted && changed("site"));
  }
}

/** Open the server's example. */
export function openExample() {
  const { example } = state.model;
  if (example) add([{ ...example, example: true }]);
}
