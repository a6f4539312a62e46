// Every entry of the journal with what it was for, and the statement of it.
import { Problem } from "./api.js";
import { button, busy, byId, el, empty, once, outside, say, table } from "./dom.js";
import { attempt } from "./errors.js";
import { hundredths, shown, signed } from "./money.js";
import { MOST_PAGES, check } from "./statement.js";
import { dayAfter, midnight, time } from "./times.js";
import { KIND_NAMES, UNITS, changes, entry, unitAmount, work } from "./words.js";
import { showUsage } from "./usage.js";

const COLUMNS = [
  { label: "When" }, { label: "What for" }, { label: "Balance" }, { label: "Change", right: true }, { label: "Set aside", right: true },
  { label: "Available after", right: true },
];

export class History {
  constructor(api) {
    this.api = api;
    this.asked = 0;
    const kinds = Object.entries(KIND_NAMES).map(([kind, name]) => el("option", { value: kind }, name));
    byId("entries-kind").append(...kinds);
    byId("entries-form").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(() => this.load());
    });
    byId("entries-form").addEventListener("reset", () => setTimeout(() => attempt(() => this.load())));
    byId("download").addEventListener("click", (event) => once(event.currentTarget, () => attempt(() => this.download())));
    byId("check").addEventListener("click", (event) => once(event.currentTarget, () => attempt(() => this.check())));
  }

  async show() {
    await Promise.all([showUsage(this.api), this.load()]);
  }

  filters() {
    return { kind: byId("entries-kind").value, store_id: byId("entries-store").value.trim(), order_id: byId("entries-order").value.trim(), ...this.range() };
  }

  // The days chosen, as times: from the first midnight to the one after the last day.
  range() {
    const from = byId("entries-from").value, to = byId("entries-to").value;
    return { from: from && midnight(from), to: to && midnight(dayAfter(to)) };
  }

  async load() {
    const asked = (this.asked += 1), list = byId("entries-list"), filters = this.filters();
    busy(list, true);
    try {
      const { items, next_cursor: cursor } = await this.api.get("/entries", filters);
      if (asked !== this.asked) return;
      if (items.length || cursor) list.replaceChildren(table("Entries, newest first", COLUMNS, items.map(cells)));
      else list.replaceChildren(empty("No entry is like that."));
      if (cursor) this.offerMore(asked, filters, cursor);
    } finally {
      if (asked === this.asked) busy(list, false);
    }
  }

  // A filtered page may hold fewer entries than fit, even none, and still there are more.
  offerMore(asked, filters, cursor) {
    const more = button("Show more", () => once(more, () => attempt(() => this.more(asked, filters, cursor, more))));
    byId("entries-list").append(more);
  }

  async more(asked, filters, cursor, pressed) {
    const { items, next_cursor: next } = await this.api.get("/entries", { ...filters, cursor });
    if (asked !== this.asked) return;
    const rows = table("", COLUMNS, items.map(cells)).querySelectorAll("tbody tr");
    byId("entries-list").querySelector("tbody").append(...rows);
    pressed.remove();
    if (next) this.offerMore(asked, filters, next);
    say(`${items.length} more entries.`);
  }

  async statement() {
    try {
      return await this.api.text("/entries", this.range());
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "range_too_large") throw error;
      tellStatement("warning", `These days have too many entries for one statement: choose an earlier last day (before ${time(error.body.split_at)}).`);
      return null;
    }
  }

  async download() {
    const text = await this.statement();
    if (text === null) return;
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    el("a", { href: address, download: `statement-${this.api.session.account}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    tellStatement("good", "The statement is downloaded.");
  }

  async check() {
    tellStatement("", "Fetching the statement…");
    const text = await this.statement();
    if (text === null) return;
    const progress = (done, of) => tellStatement("", `Checking page ${done} of ${of}…`);
    tellVerdict(this.api.session.account, await check(this.api, this.api.session.account, text, progress));
  }
}

function cells(one) {
  const isMoving = one.unit !== null;
  const names = [
    one.order_id && el("span", {}, "Order ", outside(one.order_id)),
    one.product_id && el("span", {}, "Product ", outside(one.product_id)),
    one.action && el("span", {}, work(one.action.order_type, one.action.tracking)),
    one.store_id && el("span", {}, "Store ", outside(one.store_id)),
    one.purchase_id && el("span", {}, "Purchase ", outside(one.purchase_id)),
    one.reason && outside(one.reason),
  ].filter(Boolean);
  const details = names.map((name) => el("span", { class: "detail" }, name));
  const what = [el("span", { class: "what" }, entry(one)), changes(one), el("p", { class: "muted details" }, ...details)];
  return [
    el("time", { datetime: one.at }, time(one.at)),
    what,
    isMoving ? (UNITS[one.unit] ?? one.unit) : "",
    isMoving ? change(one.unit, one.posted) : "",
    isMoving ? change(one.unit, one.held) : "",
    isMoving ? unitAmount(one.unit, one.balance.available) : "",
  ];
}

function change(unit, text) {
  if (hundredths(text) === 0) return el("span", { class: "muted" }, "–");
  return unit === "managed" ? (text.startsWith("-") ? unitAmount(unit, text) : `+${unitAmount(unit, text)}`) : signed(text);
}

function tellStatement(kind, text, ...more) {
  byId("statement-text").replaceChildren(el("p", { class: kind }, text), ...more);
}

function tellVerdict(account, { opening, closing, entries, pages, findings }) {
  if (pages === null) {
    const command = `credits journal ${account} --output journal.jsonl\ncredits verify journal.jsonl --anchor ${closing.version}:${closing.hash}`;
    const text = `This is more than ${shown(`${MOST_PAGES}.00`).slice(0, -3)} pages: check it with the program instead:`;
    tellStatement("warning", text, el("pre", { tabindex: "0" }, command));
  } else if (findings.length) {
    const list = el("ul", {}, ...findings.map((finding) => el("li", {}, finding)));
    tellStatement("bad", "This statement is NOT what the journal says. Please show this to support:", list);
  } else {
    const from = opening.version ? `after page ${opening.version}` : "from the first page";
    const text = `Right: ${entries} ${entries === 1 ? "entry" : "entries"} in ${pages} ${pages === 1 ? "page" : "pages"}, ${from} to page ${closing.version}. `;
    const rest = "Every hash, every running balance and every sum was computed again here. Keep this hash of the last page:";
    tellStatement("good", text + rest, el("pre", { tabindex: "0" }, closing.hash));
  }
}
