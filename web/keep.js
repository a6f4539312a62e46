// Keeps what was typed over the redirect of a sign-in, in this tab alone.

const KEPT = "typed";
const controls = () => document.querySelectorAll("[data-keep][id]");

// `more` is what the dialogs have to remember beside their fields.
export function keep(more = {}) {
  const fields = Object.fromEntries(Array.from(controls(), (control) => [control.id, valueOf(control)]));
  sessionStorage.setItem(KEPT, JSON.stringify({ fields, more }));
}

// What was kept, once; null if nothing was. Fields that are made later are filled by `fill`.
export function take() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  return kept;
}

export function fill(fields) {
  for (const control of controls()) {
    const value = fields[control.id];
    if (value === undefined) continue;
    if (control.type === "radio") control.checked = value;
    else control.value = value;
  }
}

const valueOf = (control) => (control.type === "radio" ? control.checked : control.value);
