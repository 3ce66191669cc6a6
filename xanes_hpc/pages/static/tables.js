// Parts of tables.

import { element } from "./elements.js";

export const cell = (textContent, className = "") => element("td", { textContent, className });

/** Return the cell of a site, which says if it is out of domain. */
export function flagged(flag, ...site) {
  const note = flag ? [element("div", { textContent: "out of domain", className: "flag", title: flag })] : [];
  return element("td", { className: "long" }, ...site, ...note);
}

/** Return the head of a table; a column is its title, or its title and class. */
export const heading = (columns) => element("thead", {}, element("tr", {}, ...columns.map((column) => {
  const [textContent, className] = Array.isArray(column) ? column : [column, ""];
  return textContent ? element("th", { textContent, className, scope: "col" }) : element("td");
})));
