// What the model is, and where it holds.

import { by } from "./elements.js";
import { state, when } from "./state.js";
import { structure } from "./structures.js";

const MOST_LISTED = 20; // elements

const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

function coverage({ absorbers, kind }) {
  const byEdge = {};
  for (const [symbol, edges] of Object.entries(absorbers)) for (const edge of edges) (byEdge[edge] ||= []).push(symbol);
  return `${list(Object.entries(byEdge).map(([edge, symbols]) => `${list(symbols)} ${edge}-edge`))} ${kind.toUpperCase()}`;
}

function training({ name, training: { sites, validation, error_percent: error }, treatment }) {
  const tested = error === null ? "" : `; its mean error on ${validation.toLocaleString("en")} sites held out from training was ${error.toFixed(1)}\u00a0%`;
  const how = {
    unstated: "their broadening is not recorded", none: "not broadened", synthetic: "synthetic",
  }[treatment] || `treatment: ${treatment}`;
  return `The model ${name} was trained on the calculated spectra of ${sites.toLocaleString("en")} sites (${how})${tested}.`;
}

function domain({ absorbers, domain: { elements, neighbours } }) {
  const around = neighbours ? ` with ${neighbours.least} to ${neighbours.most} neighbours within ${neighbours.radius} Å` : " in surroundings like theirs";
  const known = elements && elements.length > MOST_LISTED ? `${elements.length} elements` : (elements || []).join(", ");
  const made = known ? `, in structures made of ${known}` : "";
  return `It holds for ${list(Object.keys(absorbers))}${around}${made}, and the page warns of others.`;
}

function introduce() {
  const own = structure();
  const shown = own?.example ? ` The example shown is ${own.name}.` : "";
  by("intro").textContent = `This page predicts an atom's X-ray absorption spectrum, with its uncertainty, from the atoms around it.${shown}`;
}

export function startAbout() {
  const { model } = state;
  by("model").textContent = `${coverage(model)} spectra from structures`;
  when("structure", introduce);
  introduce();
  by("about").textContent = `${training(model)} ${domain(model)}`;
  by("about-box").open = innerWidth > 720;
}
