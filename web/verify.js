// Verifies a journal by docs/journal-format.md. verify("acme", items of GET /journal, {"12": "hash of page 12"}) gives
// {version, hash, findings: [{version, kind}]}: without a finding, the journal is sound up to that version.
const MOST = 100_000_000_000, UNITS = [null, "auto_order", "ai_rewrite", "finder", "managed"];
// What an entry of each kind may do: the signs of posted and held, then "!" if available is below zero after it.
const SIGNS = { granted: /^\+0/, purchased: /^\+0/, loaded: /^\+0/, held: /^0\+$/, captured: /^[-0]-/, released: /^0-/,
  expired: /^0-/, debited: /^-0$/, adjusted: /^\+0|^-0$/, clawed_back: /^-0/, refused: /^00/, declined: /^00/,
  opened: /^none00/, standing: /^none00/ };

const isKnown = (kind) => Object.hasOwn(SIGNS, kind);
const isMap = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isAmounts = (row) => isMap(row) && [row.posted, row.held].every((n = 0) => Number.isSafeInteger(n));
const isEntry = ({ actor, kind, unit, changes }) => isMap(changes ?? {}) && actor !== undefined &&
  typeof kind === "string" && typeof (unit ?? "") === "string";
const isEqual = (one, other) => canonical(one) === canonical(other);
const sign = (n) => "-0+"[Math.sign(n) + 1];
const amount = (n) => (n < 0 ? "-" : "") + String(Math.abs(n)).padStart(3, "0").replace(/..$/, ".$&");
const sum = (a, b) => ({ posted: (a?.posted ?? 0) + (b?.posted ?? 0), held: (a?.held ?? 0) + (b?.held ?? 0) });
const rules = ({ status: a = "active", orders_processor: b = "inactive", low_balance: c = null }) => [a, b, c];

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (isMap(value)) return `{${Object.keys(value).sort().map((key) => `${canonical(key)}:${canonical(value[key])}`)}}`;
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw new TypeError("not a whole number");
  if (typeof value === "string") encodeURIComponent(value); // throws for half a character, which UTF-8 cannot hold
  return JSON.stringify(value ?? null);
}

export const START = { version: 0, hash: "0".repeat(64), at: 0, balances: {}, state: {} };
export async function verify(account, items, anchors = {}, reached = START) { // from another page on: what `read` gives
  const findings = [], hashes = { [reached.version]: reached.hash }, pinned = Object.keys(anchors).map(Number);
  for (const item of items) {
    const page = await read(account, item).catch(() => ({ flaw: "unreadable_page" }));
    const kind = page.flaw ?? follow(reached, page);
    if (kind) findings.push({ version: reached.version + 1, kind });
    reached = page.flaw ? { version: reached.version + 1, hash: null } : page;
    hashes[reached.version] = item?.hash;
  }
  for (const version of pinned.filter((pin) => pin <= reached.version && hashes[pin] !== anchors[pin]))
    findings.push({ version, kind: "wrong_anchor" });
  if (Math.max(1, ...pinned) > reached.version) findings.push({ version: reached.version + 1, kind: "missing_page" });
  return { version: reached.version, hash: reached.hash, findings };
}

export async function read(account, item) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(item.page));
  const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hash !== item.hash) return { flaw: "wrong_hash" };
  const page = JSON.parse(item.page), { version, at, entries, state, prev } = page, { balances = {} } = state;
  const time = new Date(at).toISOString(), told = canonical([item.at, item.prev, item.state, item.entries.map((one) =>
    [one.entry_id, one.kind, one.unit, one.posted, one.held, one.balance])]);
  const isFormed = [state, balances].every(isMap) && Array.isArray(entries) && entries.every(isEntry) &&
    [...entries, ...Object.values(balances)].every(isAmounts) && [version, at].every(Number.isSafeInteger) &&
    at >= 0 && time.length === 24 && prev !== undefined && canonical(page) === item.page;
  if (!isFormed) return { flaw: "unreadable_page" };
  if (page.account_id !== account) return { flaw: "wrong_account" };
  if (version !== item.version) return { flaw: "wrong_version" };
  return { version, hash, at, time, prev, entries, state, balances, told };
}

function follow(reached, { version, at, time, prev, entries, state, balances, told }) {
  if (version !== reached.version + 1) return "missing_page";
  if (reached.hash === null) return null; // the page before it could not be read
  if (prev !== reached.hash) return "broken_link";
  if (at < reached.at) return "time_backwards";
  const running = { ...reached.balances }, changed = { ...reached.state }, shown = [];
  for (const [index, { kind, unit = null, posted = 0, held = 0, changes }] of entries.entries()) {
    const after = sum(running[unit], { posted, held }), available = after.posted - after.held;
    const signs = [unit === null ? "none" : "", sign(posted), sign(held), available < 0 ? "!" : ""].join("");
    const isNew = !isKnown(kind) || !UNITS.includes(unit); // of a newer release: it is only added up
    const isWithin = after.held >= 0 && (posted <= 0 || after.posted <= MOST);
    if (!isNew && !(isWithin && SIGNS[kind].test(signs))) return "impossible_entry";
    const balance = { posted: amount(after.posted), held: amount(after.held), available: amount(available) };
    shown.push([`${version}.${index}`, kind, unit, unit && amount(posted), unit && amount(held), unit && balance]);
    if (unit === null) Object.assign(changed, changes); else running[unit] = after;
  }
  if (Object.keys({ ...running, ...balances }).some((unit) => !isEqual(sum(running[unit]), sum(balances[unit]))))
    return "wrong_balance";
  if (entries.every((one) => isKnown(one.kind)) && !isEqual(rules(changed), rules(state))) return "wrong_standing";
  return canonical([time, prev, state, shown]) === told ? null : "wrong_item";
}
