// What was used, drawn by day and action, and listed by store.
import { byId, busy, el, empty, outside, svg, table } from "./dom.js";
import { amount, hundredths, shown } from "./money.js";
import { day, lastDays } from "./times.js";
import { action } from "./words.js";

const DAYS = 30, COLORS = 6;
const WIDTH = 720, HEIGHT = 200, LEFT = 8, BOTTOM = 22, TOP = 18;

export async function showUsage(api) {
  const [byDay, byStore] = await Promise.all([api.get("/usage", { by: "day" }), api.get("/usage", { by: "store" })]);
  const days = lastDays(DAYS, Date.now());
  byId("usage-text").textContent = summary(byDay);
  byId("usage-chart").replaceChildren(...(byDay.items.length ? chart(byDay.items, days) : [empty("Nothing was used in the last 30 days.")]));
  busy(byId("usage-chart"), false);
  byId("usage-stores").replaceChildren(byStore.items.length ? stores(byStore) : "");
}

export function summary({ total, days_left: left }) {
  const used = `${shown(total)} credits used in the last 30 days (UTC).`;
  if (left === null) return used;
  return `${used} At this rate, what you have lasts about ${left} ${left === 1 ? "day" : "days"}.`;
}

// The actions from the most used on; what is beyond the colours counts as "other work".
export function ranked(items) {
  const sums = new Map();
  for (const { actions } of items)
    for (const { action: name, credits } of actions) sums.set(name, (sums.get(name) ?? 0) + hundredths(credits));
  const names = [...sums.keys()].sort((one, other) => sums.get(other) - sums.get(one) || (one < other ? -1 : 1));
  return names.length > COLORS ? [...names.slice(0, COLORS - 1), null] : names;
}

function chart(items, days) {
  const names = ranked(items), used = new Map(items.map((item) => [item.day, item]));
  const most = Math.max(...items.map(({ credits }) => hundredths(credits)), 1);
  const step = (WIDTH - LEFT) / days.length, height = HEIGHT - TOP - BOTTOM;
  const bars = days.flatMap((name, index) => bar(stacked(used.get(name), names), LEFT + index * step, step, height / most));
  const labels = days.flatMap((name, index) => (index % 7 === 0 ? [dayLabel(name, LEFT + index * step + step / 2)] : []));
  const ground = svg("line", { class: "ground", x1: 0, x2: WIDTH, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM });
  const top = svg("text", { x: LEFT, y: 12 }, `most in a day: ${shown(amount(most))}`);
  const label = `Credits used per day and action in the last ${days.length} days. The table below says the same.`;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "chart" }, top, ground, ...bars, ...labels);
  return [drawing, legend(names), asTable(items, names)];
}

const dayLabel = (name, x) => svg("text", { x, y: HEIGHT - 6, "text-anchor": "middle" }, day(name));

// Hundredths of each ranked action on a day.
export function stacked(item, names) {
  const sums = names.map(() => 0);
  for (const { action: name, credits } of item?.actions ?? []) {
    const index = names.indexOf(name);
    sums[index === -1 ? names.length - 1 : index] += hundredths(credits);
  }
  return sums;
}

function bar(sums, x, step, scale) {
  let y = HEIGHT - BOTTOM;
  return sums.flatMap((sum, index) => {
    if (!sum) return [];
    y -= sum * scale;
    return [svg("rect", { class: `series-${index}`, x: x + 1.5, width: step - 3, y, height: sum * scale })];
  });
}

const label = (name) => (name === null ? "other work" : action(name));

function legend(names) {
  const key = (index) => svg("svg", { viewBox: "0 0 12 12", class: "key", "aria-hidden": "true" }, svg("rect", { class: `series-${index}`, width: 12, height: 12 }));
  return el("ul", { class: "legend" }, ...names.map((name, index) => el("li", {}, key(index), label(name))));
}

function asTable(items, names) {
  const columns = [{ label: "Day (UTC)" }, ...names.map((name) => ({ label: label(name), right: true })), { label: "Sum", right: true }];
  const rows = items.map((item) => [day(item.day), ...stacked(item, names).map((sum) => shown(amount(sum))), shown(item.credits)]);
  return el("details", {}, el("summary", {}, "The same as a table"), table("Credits used per day", columns, rows));
}

function stores({ items, total }) {
  const columns = [{ label: "Store" }, { label: "Charges", right: true }, { label: "Credits", right: true }];
  const rows = [...items].sort((one, other) => hundredths(other.credits) - hundredths(one.credits));
  const listed = rows.map(({ store, credits, count }) => [outside(store), String(count), shown(credits)]);
  return table(`By store, ${shown(total)} in all`, columns, listed);
}
