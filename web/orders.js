// The orders, and sending failed ones again.
import { button, busy, byId, el, empty, once, outside, row, say, table } from "./dom.js";
import { attempt } from "./errors.js";
import { hundredths, shown } from "./money.js";
import { time } from "./times.js";
import { work } from "./words.js";

const SOON_MS = 3_000, LATER_MS = 30_000;
const MOST_RESENT_CALLS = 100;
const COLUMNS = [
  { label: "Order" }, { label: "Work" }, { label: "Status" }, { label: "Credits", right: true }, { label: "Changed" }, { label: "Action" },
];

export class Orders {
  constructor(api, { onChange }) {
    this.api = api;
    this.onChange = onChange;
    this.pages = 1;
    this.timer = null;
    this.anyFailed = false;
    this.hasCredits = false;
    byId("orders-status").addEventListener("change", () => {
      this.pages = 1;
      attempt(() => this.load());
    });
    byId("resend-all")?.addEventListener("click", (event) => once(event.currentTarget, () => attempt(() => this.resendAll())));
  }

  // The first answer may come from before the page was ready to show it.
  async load(first = null) {
    clearTimeout(this.timer);
    const items = [], status = byId("orders-status").value;
    let cursor = null, more = false;
    for (let page = 0; page < this.pages; page += 1) {
      const answer = page === 0 && first && !status ? await first : await this.api.get("/orders", { status, cursor });
      items.push(...answer.items);
      cursor = answer.next_cursor;
      more = cursor !== null;
      if (!more) break;
    }
    const isWhole = status === "failed" || (status === "" && !more);
    this.anyFailed = items.some((order) => order.status === "failed") || (!isWhole && (await this.hasFailed()));
    if (status === byId("orders-status").value) this.show(items, more, status);
  }

  async hasFailed() {
    return (await this.api.get("/orders", { status: "failed", limit: 1 })).items.length > 0;
  }

  // Sending all again is offered once there are credits to pay for them.
  heed(account) {
    this.hasCredits = hundredths(account.balances.auto_order.available) > 0;
    this.offerResend();
  }

  offerResend() {
    byId("resend-all")?.toggleAttribute("hidden", !(this.anyFailed && this.hasCredits));
  }

  show(items, more, status) {
    const list = byId("orders-list");
    const focused = document.activeElement?.dataset?.order;
    const next = more ? button("Show more", () => this.showMore()) : null;
    if (items.length) list.replaceChildren(table("Orders, newest first", COLUMNS, items.map((order) => this.cells(order))), next ?? "");
    else list.replaceChildren(empty(status ? `No order is ${status}.` : "No orders yet. They show up here as your stores send them."));
    busy(list, false);
    if (focused) list.querySelector(`[data-order="${CSS.escape(focused)}"]`)?.focus();
    this.offerResend();
    this.lookAgainIn(items.some((order) => ["queued", "processing"].includes(order.status)) ? SOON_MS : LATER_MS);
  }

  lookAgainIn(delayMs) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lookAgain(), delayMs);
  }

  // The list keeps itself up to date, the more often while orders are on their way. A fault is not told: the next look may
  // do better, and what a person does tells of it.
  async lookAgain() {
    if (document.hidden || byId("orders").hidden) return this.lookAgainIn(SOON_MS);
    return Promise.all([this.load(), this.onChange()]).catch(() => this.lookAgainIn(LATER_MS));
  }

  showMore() {
    this.pages += 1;
    return attempt(() => this.load());
  }

  mayResend() {
    return this.api.session.rights.has("credits:consume");
  }

  cells(order) {
    const reason = order.status_text ? el("p", { class: "reason" }, outside(order.status_text)) : null;
    const number = order.tracking_number ? el("p", { class: "muted" }, "Tracking number ", outside(order.tracking_number)) : null;
    return [
      [outside(order.order_id), el("p", { class: "muted" }, "Store ", outside(order.store_id))],
      work(order.order_type, order.tracking),
      [el("span", { class: `status ${order.status}` }, order.status), reason ?? "", number ?? ""],
      shown(order.credits),
      el("time", { datetime: order.updated_at }, time(order.updated_at)),
      order.status === "failed" && this.mayResend() ? this.resendButton(order) : "",
    ];
  }

  resendButton(order) {
    const again = (event) => once(event.currentTarget, () => attempt(() => this.resend(order)));
    return button("Resend", again, { "aria-label": `Resend order ${order.order_id}`, "data-order": order.order_id });
  }

  async resend(order) {
    const { status } = await this.api.send("POST", `/orders/${encodeURIComponent(order.order_id)}/resend`);
    say(`Order ${order.order_id} is ${status} again.`);
    await this.settle(order.order_id);
  }

  async resendAll() {
    let resent = 0, more = true;
    for (let call = 0; more && call < MOST_RESENT_CALLS; call += 1) {
      const answer = await this.api.send("POST", "/orders/resend", { status: "failed" });
      resent += answer.resent;
      more = answer.more;
      byId("resend-text").textContent = `${resent} ${resent === 1 ? "order is" : "orders are"} on the way again.`;
    }
    await this.settle();
  }

  // Lists may lag a second behind: what was just sent again is shown as the order itself tells.
  async settle(orderId = null) {
    await Promise.all([this.load(), this.onChange()]);
    this.lookAgainIn(SOON_MS);
    if (orderId === null) return;
    const order = await this.api.get(`/orders/${encodeURIComponent(orderId)}`);
    const stale = byId("orders-list").querySelector(`[data-order="${CSS.escape(orderId)}"]`)?.closest("tr");
    stale?.replaceWith(row(COLUMNS, this.cells(order)));
  }
}
