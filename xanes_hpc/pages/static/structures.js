// The open structures, and which of them, which absorber and which edge are chosen.

import { by, options, problems } from "./elements.js";
import { changed, state } from "./state.js";

export const structure = () => state.structures[Number(by("structure").value)];

export const absorber = () => (by("absorber").value === "" ? -1 : Number(by("absorber").value));

function list(chosen) {
  options(by("structure"), state.structures.map((s, k) => [k, `${s.name} (${s.formula})`]), chosen);
  by("structure-drop").disabled = !state.structures.length;
}

/** Open structures, and choose the first of them. */
export function add(structures) {
  const first = state.structures.length;
  state.structures.push(...structures);
  list(first);
  return choose();
}

function remove() {
  state.structures.splice(Number(by("structure").value), 1);
  list(0);
  state.noAbsorber = "";
  problems([]);
  if (state.structures.length) return choose();
  options(by("absorber"), []);
  return nothing("Choose a structure to see its spectrum.");
}

function nothing(trust) {
  state.asked += 1; // drop the answer for the previous structure
  state.predicted = null;
  options(by("edge"), []);
  by("trust").className = "";
  by("trust").textContent = trust;
  changed("structure");
  changed("prediction");
}

function choose() {
  const own = structure();
  state.noAbsorber = "";
  options(by("absorber"), own.absorbers.map((k) => [k, `${own.symbols[k]} (atom ${k})`]), own.absorbers[0]);
  if (own.absorbers.length) return chooseAbsorber(own.absorbers[0]);
  const known = Object.keys(state.model.absorbers).join(", ");
  state.noAbsorber = `${own.name}: contains none of the elements that the model was trained on (${known})`;
  problems([]);
  return nothing("");
}

/** Choose an absorber of the structure by its atom. */
export function chooseAbsorber(atom) {
  by("absorber").value = atom;
  const edges = state.model.absorbers[structure().symbols[atom]] || [];
  options(by("edge"), edges.map((edge) => [edge, edge]), edges[0]);
  changed("structure");
  changed("site");
}

export function startStructures() {
  by("structure").addEventListener("change", () => { problems([]); choose(); });
  by("structure-drop").addEventListener("click", remove);
  by("absorber").addEventListener("change", () => chooseAbsorber(absorber()));
  by("edge").addEventListener("change", () => changed("site"));
  for (const name of ["charge", "spin"]) {
    by(`${name}-row`).hidden = !state.model.properties.includes(name);
    by(name).addEventListener("change", () => state.predicted && changed("site"));
  }
}
