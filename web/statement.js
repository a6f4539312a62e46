// Reads a statement, and checks it against the journal that it was made from. Pure, but for fetching the pages.
import { amount, hundredths } from "./money.js";
import { START, read, verify } from "./verify.js";

export const MOST_PAGES = 5_000;

// The rows of a CSV text (RFC 4180) as objects by the names in its first line.
export function rowsOf(text) {
  const [names, ...lines] = cells(text);
  return lines.map((line) => Object.fromEntries(names.map((name, index) => [name, line[index]])));
}

function cells(text) {
  const lines = [];
  let line = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    line.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ",") continue;
    if (line.length > 1) lines.push(line);
    line = [];
  }
  return lines;
}

// The version and hash that a statement's first or last rows name. Throws where it has none.
export function edgeOf(rows, kind) {
  const named = rows.filter((row) => row.kind === kind).map((row) => /^version ([0-9]+), hash ([0-9a-f]{64})$/.exec(row.reason));
  if (!named.length || named.some((match) => match?.[0] !== named[0]?.[0])) throw new RangeError(`no ${kind} rows`);
  return { version: Number(named[0][1]), hash: named[0][2] };
}

// What is wrong with a statement's own sums: each row's balance is the one before and its change. Empty: nothing.
export function wrongSums(rows) {
  const sums = new Map(), wrong = [];
  for (const { kind, unit, entry_id: entryId, posted, held, ...row } of rows.filter(({ unit: one }) => one)) {
    const before = kind === "opening" ? { posted: 0, held: 0 } : (sums.get(unit) ?? { posted: 0, held: 0 });
    const after = { posted: before.posted + hundredths(posted), held: before.held + hundredths(held) };
    const told = [row.balance_posted, row.balance_held, row.balance_available];
    const reckoned = [after.posted, after.held, after.posted - after.held].map(amount);
    if (told.some((text, index) => text !== reckoned[index])) wrong.push(`${entryId || `the ${kind} of ${unit}`}: the sums do not agree`);
    sums.set(unit, after);
  }
  return wrong;
}

// What of a statement is not what the pages say. Both have each entry once, in the same order. Amounts were shown by the
// verifier to be those under the hash; names are taken from there.
export function differences(rows, items) {
  const entries = items.flatMap(({ entries: some, page }) => {
    const { entries: stored } = JSON.parse(page);
    return some.map((entry, index) => [...amountsOf(entry), ...namesOf(stored[index])]);
  });
  const listed = rows.filter(({ kind }) => kind !== "opening" && kind !== "closing");
  const wrong = [];
  for (let index = 0; index < Math.max(entries.length, listed.length) && wrong.length < 10; index += 1) {
    const row = listed[index];
    if (!row) wrong.push(`${entries[index][0]}: missing in the statement`);
    else if (!entries[index]) wrong.push(`${row.entry_id}: the journal has no such entry`);
    else if (!isSame(row, entries[index])) wrong.push(`${row.entry_id}: the journal says otherwise`);
  }
  return wrong;
}

const AMOUNTS = ["entry_id", "at", "kind", "unit", "posted", "held", "balance_posted", "balance_held", "balance_available"];
const NAMES = ["store_id", "order_id", "product_id", "part", "order_type", "tracking", "rate_card", "purchase_id", "actor", "key", "reason"];

const amountsOf = ({ balance, ...entry }) =>
  [entry.entry_id, entry.at, entry.kind, entry.unit, entry.posted, entry.held, balance?.posted, balance?.held, balance?.available];

// As a statement writes them: what a spreadsheet would take for a formula has a quote before it.
const namesOf = (stored) => NAMES.map((name) => (/^[=+@\t\r-]/.test(stored[name] ?? "") ? `'${stored[name]}` : stored[name]));

const isSame = (row, told) => [...AMOUNTS, ...NAMES].every((name, index) => row[name] === (told[index] ?? ""));

// Opening rows that do not tell what the page before the first entry left.
function wrongOpening(rows, { balances }) {
  const isRight = ({ unit, posted, held }) =>
    hundredths(posted) === (balances[unit]?.posted ?? 0) && hundredths(held) === (balances[unit]?.held ?? 0);
  const wrong = rows.filter((row) => row.kind === "opening" && !isRight(row));
  return wrong.map(({ unit }) => `the opening of ${unit}: the journal says otherwise`);
}

// Fetches the pages from the opening version to the closing one. The first is that of the opening itself, if there is one.
async function pages(api, opening, closing, onProgress) {
  const items = [];
  for await (const some of api.items("/journal", { after: Math.max(0, opening - 1), limit: 100 })) {
    items.push(...some.filter(({ version }) => version <= closing));
    onProgress(items.length, closing - Math.max(0, opening - 1));
    if (some.length && some.at(-1).version >= closing) break;
  }
  return items;
}

// Checks a statement of a whole account. Resolves to {opening, closing, entries, pages, findings}; without a finding it is
// right. `pages` null: they are too many for a browser.
export async function check(api, account, text, onProgress = () => {}) {
  const rows = rowsOf(text), opening = edgeOf(rows, "opening"), closing = edgeOf(rows, "closing");
  const told = { opening, closing, entries: rows.filter(({ entry_id: id }) => id).length };
  if (closing.version - opening.version > MOST_PAGES) return { ...told, pages: null, findings: [] };
  if (closing.version === 0) return { ...told, pages: 0, findings: wrongSums(rows) };
  const items = await pages(api, opening.version, closing.version, onProgress);
  const { start, findings } = await startOf(account, opening, items);
  const rest = opening.version ? items.slice(1) : items;
  const verdict = await verify(account, rest, { [closing.version]: closing.hash }, start);
  findings.push(...verdict.findings.map(({ version, kind }) => `page ${version}: ${kind.replaceAll("_", " ")}`));
  return { ...told, pages: rest.length, findings: [...findings, ...wrongOpening(rows, start), ...wrongSums(rows), ...differences(rows, rest)] };
}

async function startOf(account, opening, items) {
  if (opening.version === 0) return { start: START, findings: [] };
  const first = await read(account, items[0]).catch(() => ({ flaw: "unreadable_page" }));
  if (first.flaw) return { start: START, findings: [`page ${opening.version}: ${first.flaw.replaceAll("_", " ")}`] };
  const isPinned = first.version === opening.version && first.hash === opening.hash;
  return { start: first, findings: isPinned ? [] : [`page ${opening.version}: not the one that the statement names`] };
}
