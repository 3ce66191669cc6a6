// Files that are chosen, dropped or pasted.

import { by, problems } from "./elements.js";
import { measure } from "./measurement.js";
import { ask } from "./requests.js";
import { state } from "./state.js";
import { add } from "./structures.js";

const isSpectrum = ({ name }) => state.model.limits.spectra.some((ending) => name.toLowerCase().endsWith(ending));

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
    if (found.structures.length) add(found.structures.map((own) => ({ ...own, uploaded: true })));
    problems(found.errors);
  } catch (error) {
    problems([error.message]);
  }
}

function pasted() {
  const text = by("paste").value;
  if (!text.trim()) return problems(["paste the text of a structure file first"]);
  return take([new File([text.endsWith("\n") ? text : `${text}\n`], pastedName(text))]);
}

function pastedName(text) {
  if (/^\s*(#.*\n|\s)*data_/m.test(text) && /_cell_length_a|_atom_site/.test(text)) return "pasted.cif";
  const three = (line) => /^\s*(-?[\d.]+([eE][-+]?\d+)?\s+){2}-?[\d.]+/.test(line || "");
  const lines = text.split("\n");
  return lines.length > 7 && !/^\s*\d+\s*$/.test(lines[0]) && lines.slice(2, 5).every(three) ? "POSCAR" : "pasted.xyz";
}

function dropped(transfer) {
  const files = [...transfer.files];
  const measured = files.filter(isSpectrum);
  if (measured.length > 1) problems(["only one measured spectrum at a time; the first one is used"]);
  if (measured.length) measure(measured[0]);
  const others = files.filter((file) => !isSpectrum(file));
  const text = transfer.getData("text/plain");
  if (!files.length && text.trim()) others.push(new File([`${text}\n`], pastedName(text)));
  return take(others);
}

export function startUploads() {
  by("measured").accept = state.model.limits.spectra.join(",");
  by("files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
  by("paste-use").addEventListener("click", pasted);
  by("paste-box").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    by("paste-box").open = false;
    by("paste-box").querySelector("summary").focus();
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      by("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") dropped(event.dataTransfer);
    });
  }
}
