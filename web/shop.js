// The dialog that buys credits, or pays an unpaid purchase another way.
import { Problem } from "./api.js";
import { basketOf, keyOf, renew } from "./basket.js";
import { button, busy, byId, el, notice, once, say } from "./dom.js";
import { attempt } from "./errors.js";
import { dollars, shown } from "./money.js";
import { time } from "./times.js";
import { METHODS, bought, isUnpaid } from "./words.js";

const home = () => `${location.origin}/`;
const chosen = (name) => document.querySelector(`#shop input[name="${name}"]:checked`)?.value;

export function goToProvider(purchase) {
  const address = new URL(purchase.payment.redirect_url);
  if (!["https:", "http:"].includes(address.protocol)) throw new Error("a provider's address is none");
  location.assign(address);
}

export class Shop {
  constructor(api, { onOutcome }) {
    this.api = api;
    this.onOutcome = onOutcome;
    this.purchase = null; // the unpaid one that is to be paid another way; null: a new one
    this.packages = null;
    this.choice = null;
    this.checked = null;
    this.basket = null;
    this.place = byId("shop-notices");
    const trouble = { place: this.place };
    byId("shop-close").addEventListener("click", () => this.close());
    byId("shop").addEventListener("close", () => this.place.replaceChildren());
    byId("coupon-check").addEventListener("click", (event) => once(event.currentTarget, () => attempt(() => this.check(), trouble)));
    byId("coupon").addEventListener("input", () => this.forgetCoupon());
    byId("coupon").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // Enter checks the coupon; it does not pay
      byId("coupon-check").click();
    });
    byId("shop-packages").addEventListener("change", () => this.forgetCoupon());
    byId("shop-form").addEventListener("submit", (event) => {
      event.preventDefault();
      once(byId("pay"), () => attempt(() => this.pay(), trouble));
    });
    byId("shop-cancel").addEventListener("click", (event) => once(event.currentTarget, () => attempt(() => this.cancel(), trouble)));
  }

  // `purchase`: an unpaid one that is paid another way. `choice`: the package that was chosen before a sign-in.
  async open(purchase = null, choice = null) {
    this.purchase = purchase;
    this.choice = choice;
    this.checked = null;
    for (const id of ["shop-packages", "shop-coupon"]) byId(id).hidden = purchase !== null;
    byId("shop-cancel").hidden = purchase === null;
    byId("shop-title").textContent = purchase ? `Pay for ${bought(purchase)}` : "Buy Credits";
    byId("coupon-text").textContent = "";
    this.showTotal();
    if (!byId("shop").open) byId("shop").showModal();
    if (purchase) this.tellDeclined(purchase);
    else await attempt(() => this.load(), { place: this.place });
  }

  async takeBasket() {
    this.basket = await basketOf(this.api.session.account);
  }

  tellDeclined(purchase) {
    if (purchase.status !== "declined") return;
    notice("The payment was declined. Choose another way to pay: price and coupon stay as they are.", { place: this.place, kind: "info" });
  }

  close() {
    byId("shop").close();
  }

  async load() {
    await this.takeBasket();
    this.packages ??= (await this.api.get("/v1/packages")).items;
    const set = byId("shop-packages"), before = chosen("package") ?? this.choice ?? this.packages[0].package;
    set.replaceChildren(set.querySelector("legend"), ...this.packages.map((one) => packageChoice(one, one.package === before)));
    busy(set, false);
    this.showTotal();
  }

  coupon() {
    return byId("coupon").value.trim().toUpperCase();
  }

  forgetCoupon() {
    this.checked = null;
    byId("coupon").removeAttribute("aria-invalid");
    byId("coupon-text").textContent = this.coupon() ? "Check the coupon to see what it does." : "";
    this.showTotal();
  }

  async check() {
    const text = byId("coupon-text"), code = this.coupon(), name = chosen("package");
    if (!code) return;
    try {
      const terms = await this.api.send("POST", "/coupons/check", { code, package: name });
      if (code !== this.coupon() || name !== chosen("package")) return;
      this.checked = terms;
      text.textContent = effect(terms);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 422) throw error;
      byId("coupon").setAttribute("aria-invalid", "true");
      text.textContent = error.code === "coupon_invalid" ? error.message : "This is no coupon code.";
    }
    this.showTotal();
    say(text.textContent);
  }

  showTotal() {
    const one = this.packages?.find(({ package: name }) => name === chosen("package"));
    const price = this.purchase?.price ?? this.checked?.price ?? one?.price;
    byId("pay").textContent = price === undefined ? "Pay" : price === "0.00" ? "Get it for free" : `Pay ${dollars(price)}`;
  }

  async pay() {
    this.place.replaceChildren();
    const paid = this.purchase ? await this.payOtherwise() : await this.buy();
    if (!paid) return;
    if (isUnpaid(paid) && paid.payment?.redirect_url) return goToProvider(paid);
    this.close();
    this.onOutcome(paid);
  }

  payOtherwise() {
    const body = { payment_method: chosen("method"), return_url: home() };
    return this.api.send("POST", `/purchases/${encodeURIComponent(this.purchase.purchase_id)}/checkout`, body);
  }

  // The purchase of this choice: begun now, or by another click or tab before. Null where the buyer has to decide first.
  async buy(isAgain = false) {
    const coupon = this.coupon();
    const body = { package: chosen("package"), payment_method: chosen("method"), return_url: home(), ...(coupon && { coupon }) };
    const response = await this.begin(body);
    const purchase = await response.json();
    if (purchase.status === "declined") {
      await this.open(purchase);
      return null;
    }
    if (purchase.status === "pending" || !response.headers.has("Idempotent-Replayed")) return purchase;
    if (purchase.status === "credited") return this.askWhetherAgain(purchase);
    await this.renew(); // that one is over: this is another
    return isAgain ? purchase : this.buy(true);
  }

  async begin(body) {
    try {
      return await this.api.answer("POST", "/purchases", { body, key: await keyOf(this.basket, body) });
    } catch (error) {
      if (error.code === "payment_refused") await this.renew();
      throw error;
    }
  }

  async renew() {
    await renew(this.api.session.account);
    await this.takeBasket();
  }

  askWhetherAgain({ created_at: at }) {
    const again = button("Buy it once more", async () => {
      await this.renew();
      byId("pay").click();
    });
    const text = `You bought just this on ${time(at)}, perhaps in another window: it is paid, and its credits were added.`;
    notice(text, { place: this.place, kind: "info", actions: [again] });
    return null;
  }

  async cancel() {
    const canceled = await this.api.send("POST", `/purchases/${encodeURIComponent(this.purchase.purchase_id)}/cancel`);
    this.close();
    this.onOutcome(canceled);
  }

  // What a sign-in in between has to remember.
  kept() {
    if (!byId("shop").open) return null;
    return { purchase: this.purchase?.purchase_id ?? null, package: chosen("package") ?? null };
  }
}

function packageChoice({ package: name, credits, price, price_per_credit: each }, isChosen) {
  return el(
    "label", { class: "choice" },
    el("input", { type: "radio", name: "package", value: name, id: `package-${name}`, checked: isChosen }),
    el("span", {}, el("strong", {}, `${shown(credits)} credits`), el("span", { class: "muted" }, `${dollars(each)} per credit`)),
    el("strong", { class: "price" }, dollars(price)),
  );
}

function effect({ price, discount, bonus_credits: bonus }) {
  const said = [];
  if (discount !== "0.00") said.push(`${dollars(discount)} off`);
  if (bonus !== "0.00") said.push(`${shown(bonus)} extra credits`);
  return `The coupon is good: ${said.join(" and ") || "no change"}. You pay ${dollars(price)}.`;
}

export const methodName = (method) => METHODS[method] ?? method;
