// Starts the page: signs in, asks for balance and orders side by side, and shows one view at a time.
import { Api } from "./api.js";
import { showBalance, threshold } from "./balance.js";
import { byId } from "./dom.js";
import { attempt, onSessionOver, tell } from "./errors.js";
import { History } from "./history.js";
import { fill, keep, take } from "./keep.js";
import { Orders } from "./orders.js";
import { Purchases } from "./purchases.js";
import { Shop } from "./shop.js";
import { NotSignedIn, arrive, isReturn, leave, signOut } from "./signin.js";

const RETURNED = "returned purchase";
const VIEWS = ["orders", "purchases", "history"];

// The address is cleaned before anything else happens: neither a code nor a purchase stays in it.
const address = new URL(location.href);
if (address.search) history.replaceState(null, "", `/${address.hash}`);

async function start() {
  const config = await configuration();
  onSessionOver(() => leaveAgain(config));
  byId("sign-in").addEventListener("click", () => attempt(() => leave(config, { silent: false })));
  const bought = address.searchParams.get("purchase_id");
  if (bought) sessionStorage.setItem(RETURNED, bought);
  try {
    if (!isReturn(address)) return await leave(config, { silent: true });
    return await open(config, await arrive(config, address));
  } catch (error) {
    return gate(error);
  }
}

async function configuration() {
  const response = await fetch("config.json", { cache: "no-cache" });
  if (!response.ok) throw new Error(`config.json: ${response.status}`);
  return response.json();
}

// Nobody is signed in: says so, and waits for the person. It never redirects again by itself.
function gate(error) {
  if (!(error instanceof NotSignedIn)) {
    console.warn("sign-in:", error.name, error.message);
    byId("gate-text").textContent = "Signing in is not possible just now. Check your connection and try again.";
  } else {
    byId("gate-text").textContent = error.message;
  }
  byId("gate").setAttribute("aria-busy", "false");
  byId("sign-in").hidden = false;
  byId("sign-in").focus();
}

let kept = () => ({});

function leaveAgain(config) {
  keep(kept());
  return attempt(() => leave(config, { silent: false }));
}

async function open(config, session) {
  if (!session.account || session.account === "*") {
    throw new NotSignedIn("This sign-in belongs to no merchant's account. Sign in as another user, or ask support.");
  }
  const api = new Api(session);
  const firstBalance = api.get("/balance"), firstOrders = api.get("/orders");
  for (const first of [firstBalance, firstOrders]) first.catch(() => {}); // told where they are shown
  showWhatMayBeDone(session);
  const views = new Views(api, config);
  kept = () => ({ shop: views.shop.kept() });
  byId("gate").hidden = true;
  await views.begin(firstBalance, firstOrders);
}

function showWhatMayBeDone({ account, store, rights }) {
  const may = {
    "whole-account": !store,
    purchase: !store && rights.has("credits:purchase"),
    consume: rights.has("credits:consume"),
    settings: !store && rights.has("credits:admin"),
  };
  for (const node of document.querySelectorAll("[data-needs]")) if (!may[node.dataset.needs]) node.remove();
  byId("who-name").textContent = store ? `${account}, store ${store}` : account;
  for (const id of ["who", "views"]) byId(id).hidden = false;
}

class Views {
  constructor(api, config) {
    this.api = api;
    this.wholeAccount = !api.session.store;
    this.orders = new Orders(api, { onChange: () => this.balance() });
    this.shop = new Shop(api, { onOutcome: (purchase) => this.purchases.show(purchase) });
    this.purchases = new Purchases(api, { shop: this.shop, onChange: () => this.refresh() });
    this.history = new History(api);
    this.settings = byId("threshold-form") ? threshold(api) : null;
    for (const id of ["buy", "buy-more"]) byId(id)?.addEventListener("click", () => this.shop.open());
    byId("sign-out").addEventListener("click", () => attempt(() => signOut(config, api.session)));
    addEventListener("hashchange", () => this.show());
  }

  async begin(firstBalance, firstOrders) {
    const before = take();
    if (before) fill(before.fields);
    this.show({ firstOrders });
    attempt(() => this.balance(firstBalance), { retry: () => attempt(() => this.balance()) });
    if (this.settings && !before) attempt(() => this.settings());
    await this.goOn(before);
  }

  // What was under way before the redirect: a return from a provider, or an open dialog.
  async goOn(before) {
    const returned = sessionStorage.getItem(RETURNED), shop = before?.more.shop;
    sessionStorage.removeItem(RETURNED);
    if (returned && this.wholeAccount) await this.purchases.watch(returned);
    else if (shop) await attempt(async () => this.reopen(shop, before.fields));
  }

  async reopen({ purchase, package: choice }, fields) {
    const unpaid = purchase && (await this.api.get(`/purchases/${encodeURIComponent(purchase)}`));
    await this.shop.open(unpaid, choice);
    fill(fields);
    this.shop.forgetCoupon();
  }

  async balance(answer = this.api.get("/balance")) {
    const account = await answer;
    showBalance(account);
    this.orders.heed(account);
  }

  show({ firstOrders = null } = {}) {
    const wanted = location.hash.slice(1);
    const name = VIEWS.includes(wanted) && (wanted === "orders" || this.wholeAccount) ? wanted : "orders";
    for (const view of VIEWS) byId(view).hidden = view !== name;
    for (const link of document.querySelectorAll("#views a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${byId(name).querySelector("h1").textContent} · Auto-Order Credits`;
    this.shown = name;
    let first = firstOrders; // a second try asks again
    return attempt(() => {
      const orders = first;
      first = null;
      return this.load(orders);
    });
  }

  load(firstOrders = null) {
    if (this.shown === "orders") return this.orders.load(firstOrders);
    return this.shown === "purchases" ? this.purchases.load() : this.history.show();
  }

  // After a purchase has ended one way or another.
  refresh() {
    return attempt(() => Promise.all([this.balance(), this.load()]));
  }
}

start().catch((error) => {
  byId("gate-text").textContent = "The page could not be started.";
  byId("gate").setAttribute("aria-busy", "false");
  tell(error);
});
