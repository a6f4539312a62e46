// Makes elements. Whatever comes from outside is text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const button = (label, onclick, attributes = {}) => el("button", { type: "button", onclick, ...attributes }, label);

// Text of a stranger's: it keeps its own direction and disturbs nothing around it.
export const outside = (text) => el("bdi", { class: "outside" }, text);

// A table that narrow screens show as cards. The roles keep it a table whatever the style makes of it.
export function table(caption, columns, rows) {
  const head = columns.map(({ label, right }) => el("th", { scope: "col", role: "columnheader", class: right && "right" }, label));
  return el(
    "table",
    { role: "table" },
    el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
    el("tbody", { role: "rowgroup" }, ...rows.map((cells) => row(columns, cells))),
  );
}

export function row(columns, cells) {
  const made = cells.map((cell, index) => {
    const { label, right } = columns[index];
    const value = el("div", {}, ...(Array.isArray(cell) ? cell : [cell]));
    return el("td", { role: "cell", class: right && "right", "data-label": label }, value);
  });
  return el("tr", { role: "row" }, ...made);
}

export function empty(text) {
  return el("p", { class: "empty" }, text);
}

// For screen readers: what has just happened.
export function say(text) {
  byId("said").textContent = text;
}

// Shows what went wrong and what to do about it. One of each kind stands at a time.
export function notice(text, { kind = "error", place = byId("notices"), actions = [] } = {}) {
  const dismiss = button("✕", () => shown.remove(), { class: "quiet", "aria-label": "Dismiss" });
  const role = kind === "error" ? "alert" : "status";
  const shown = el("div", { class: `notice ${kind}`, role }, el("p", {}, text), el("span", { class: "row" }, ...actions, dismiss));
  place.replaceChildren(shown);
  shown.scrollIntoView({ block: "nearest" });
  return shown;
}

export function busy(node, isBusy) {
  node.setAttribute("aria-busy", String(isBusy));
}

// Runs a button's work once at a time: a second click while it runs does nothing.
export async function once(pressed, work) {
  if (pressed.getAttribute("aria-disabled") === "true") return;
  pressed.setAttribute("aria-disabled", "true");
  try {
    await work();
  } finally {
    pressed.removeAttribute("aria-disabled");
  }
}
