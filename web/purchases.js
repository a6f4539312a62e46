// The purchases, and what has become of one. The truth comes from the API, never from the address a buyer came back to.
import { Problem, Unavailable } from "./api.js";
import { renew } from "./basket.js";
import { button, busy, byId, el, empty, once, outside, table } from "./dom.js";
import { attempt } from "./errors.js";
import { dollars } from "./money.js";
import { goToProvider, methodName } from "./shop.js";
import { time } from "./times.js";
import { PURCHASE, bought, isUnpaid } from "./words.js";

const LOOK_AGAIN_MS = 2_000, LATER_MS = 10_000, SOON = 15;
const COLUMNS = [{ label: "Bought" }, { label: "Price", right: true }, { label: "Status" }, { label: "Begun" }, { label: "Action" }];

const path = (purchaseId) => `/purchases/${encodeURIComponent(purchaseId)}`;

export class Purchases {
  constructor(api, { shop, onChange }) {
    this.api = api;
    this.shop = shop;
    this.onChange = onChange;
    this.pages = 1;
    this.watched = null;
    byId("outcome").addEventListener("close", () => {
      this.watched = null;
      byId("outcome-notices").replaceChildren();
    });
  }

  async load() {
    const items = [];
    let page = 0, more = false;
    for await (const some of this.api.items("/purchases")) {
      more = page === this.pages;
      if (more) break;
      items.push(...some);
      page += 1;
    }
    const next = more ? button("Show more", () => this.showMore()) : "";
    const list = byId("purchases-list");
    if (items.length) list.replaceChildren(table("Purchases, newest first", COLUMNS, items.map((one) => this.cells(one))), next);
    else list.replaceChildren(empty("Nothing bought yet."));
    busy(list, false);
  }

  showMore() {
    this.pages += 1;
    return attempt(() => this.load());
  }

  cells(one) {
    const coupon = one.coupon ? el("p", { class: "muted" }, `Coupon ${one.coupon}`) : "";
    const reference = one.payment_id ? el("p", { class: "muted" }, "Payment ", outside(one.payment_id)) : "";
    return [
      [bought(one), coupon],
      [dollars(one.price), el("p", { class: "muted" }, methodName(one.payment_method))],
      [el("span", { class: `status ${one.status}` }, PURCHASE[one.status] ?? one.status), reference],
      el("time", { datetime: one.created_at }, time(one.created_at)),
      isUnpaid(one) && this.mayBuy() ? el("span", { class: "row" }, ...this.actions(one)) : "",
    ];
  }

  mayBuy() {
    return this.api.session.rights.has("credits:purchase");
  }

  // What can be done about an unpaid purchase.
  actions(one) {
    const trouble = byId("outcome").open ? { place: byId("outcome-notices") } : {};
    const goOn = one.status === "pending" && one.payment?.redirect_url;
    return [
      goOn ? button("Pay now", () => goToProvider(one), { class: "main" }) : null,
      button("Pay another way", () => this.payOtherwise(one)),
      button("Cancel purchase", (event) => once(event.currentTarget, () => attempt(() => this.cancel(one), trouble)), { "aria-label": `Cancel purchase of ${bought(one)}` }),
    ].filter((action) => action !== null);
  }

  payOtherwise(one) {
    byId("outcome").close();
    return this.shop.open(one);
  }

  async cancel(one) {
    this.show(await this.api.send("POST", `${path(one.purchase_id)}/cancel`));
  }

  // Opens the dialog on the purchase that a buyer comes back from, and asks until its outcome is known.
  watch(purchaseId) {
    this.watched = purchaseId;
    byId("outcome-text").textContent = "Asking what has become of your purchase…";
    byId("outcome-actions").replaceChildren(this.closing());
    if (!byId("outcome").open) byId("outcome").showModal();
    return attempt(() => this.follow(purchaseId), { place: byId("outcome-notices") });
  }

  async follow(purchaseId) {
    let one = await this.api.get(path(purchaseId));
    if (one.status === "pending") one = await this.hint(one);
    for (let looks = 1; this.watched === purchaseId; looks += 1) {
      this.tell(one);
      if (one.status !== "pending") return;
      await new Promise((resolve) => setTimeout(resolve, looks < SOON ? LOOK_AGAIN_MS : LATER_MS));
      one = await this.api.get(path(purchaseId));
    }
  }

  // The buyer is back: has the service ask the provider at once, which takes what was approved. Its own look comes anyway.
  async hint(one) {
    if (!this.mayBuy()) return one;
    try {
      return await this.api.send("POST", `${path(one.purchase_id)}/checkout`, { payment_method: one.payment_method });
    } catch (error) {
      if (error instanceof Problem || error instanceof Unavailable) return one;
      throw error;
    }
  }

  // Shows a purchase as the API has just told it.
  show(one) {
    this.watched = null;
    if (!byId("outcome").open) byId("outcome").showModal();
    this.tell(one);
  }

  tell(one) {
    const text = outcome(one);
    if (text === byId("outcome-text").textContent) return;
    byId("outcome-text").textContent = text;
    const actions = isUnpaid(one) && this.mayBuy() ? this.actions(one) : [];
    byId("outcome-actions").replaceChildren(...actions, this.closing());
    if (one.status !== "pending") this.onChange();
    if (!isUnpaid(one)) renew(this.api.session.account);
  }

  closing() {
    return button("Close", () => byId("outcome").close());
  }
}

function outcome(one) {
  const what = bought(one);
  if (one.status === "credited") return `Paid, credits added: ${what}.`;
  if (one.status === "pending")
    return `Waiting for the provider: ${what} for ${dollars(one.price)}. The credits are added as soon as it says that you have paid; you may close this.`;
  if (one.status === "declined") return `The payment for ${what} was declined. Pay another way, or cancel the purchase.`;
  if (one.status === "canceled") return `The purchase of ${what} is cancelled. Nothing was charged.`;
  return `Your purchase of ${what}: ${PURCHASE[one.status] ?? one.status}.`;
}
