// The orders, and sending failed ones again.
import { button, busy, byId, el, empty, once, outside, row, say, table } from "./dom.js";
import { attempt } from "./errors.js";
import { shown } from "./money.js";
import { time } from "./times.js";
import { STATUS, work } from "./words.js";

const LOOK_AGAIN_MS = 3_000;
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
    byId("orders-status").addEventListener("change", () => {
      this.pages = 1;
      attempt(() => this.load());
    });
    byId("resend-all").addEventListener("click", (event) => once(event.currentTarget, () => attempt(() => this.resendAll())));
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
    if (status === byId("orders-status").value) this.show(items, more, status);
  }

  show(items, more, status) {
    const list = byId("orders-list");
    const focused = document.activeElement?.dataset?.order;
    const next = more ? button("Show more", () => this.showMore()) : null;
    if (items.length) list.replaceChildren(table("Orders, newest first", COLUMNS, items.map((order) => this.cells(order))), next ?? "");
    else list.replaceChildren(empty(status ? `No order is ${STATUS[status]}.` : "No orders yet. They show up here as your stores send them."));
    busy(list, false);
    if (focused) list.querySelector(`[data-order="${CSS.escape(focused)}"]`)?.focus();
    byId("resend-all").hidden = !this.mayResend() || !items.some((order) => order.status === "failed");
    const onTheirWay = items.some((order) => ["queued", "processing"].includes(order.status));
    if (onTheirWay) this.timer = setTimeout(() => this.lookAgain(), LOOK_AGAIN_MS);
  }

  // While orders are on their way, the list keeps itself up to date; a fault is not told, the next look may do better.
  async lookAgain() {
    if (document.hidden || byId("orders").hidden) {
      this.timer = setTimeout(() => this.lookAgain(), LOOK_AGAIN_MS);
      return;
    }
    await Promise.all([this.load(), this.onChange()]).catch(() => {
      this.timer = setTimeout(() => this.lookAgain(), 5 * LOOK_AGAIN_MS);
    });
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
      [el("span", { class: `status ${order.status}` }, STATUS[order.status] ?? order.status), reason ?? "", number ?? ""],
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
    say(`Order ${order.order_id} is ${STATUS[status] ?? status} again.`);
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
    if (orderId === null) {
      this.timer ??= setTimeout(() => this.lookAgain(), LOOK_AGAIN_MS);
      return;
    }
    const order = await this.api.get(`/orders/${encodeURIComponent(orderId)}`);
    const stale = byId("orders-list").querySelector(`[data-order="${CSS.escape(orderId)}"]`)?.closest("tr");
    stale?.replaceWith(row(COLUMNS, this.cells(order)));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lookAgain(), LOOK_AGAIN_MS);
  }
}
