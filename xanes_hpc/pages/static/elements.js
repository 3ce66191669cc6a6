// The document's elements, and the colours of the theme.

import { state } from "./state.js";

export const by = (id) => document.getElementById(id);

export const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
export const ink = () => (dark() ? "#eeeeee" : "#111111");

/** Return an element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Show the choices of a select; it is disabled without any. */
export function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, String(value) === String(chosen))));
  select.disabled = entries.length === 0;
}

/** Show errors; that of the structure shown stays. */
export function problems(texts) {
  const every = state.noAbsorber ? [...texts, state.noAbsorber] : texts;
  by("problems").replaceChildren(...every.map((textContent) => element("p", { textContent })));
}
