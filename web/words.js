// The words for what the API names: units, orders, entries, purchases.
import { dollars, shown } from "./money.js";

export const UNITS = {
  auto_order: "Auto-Order Credits",
  ai_rewrite: "AI Rewrite Credits",
  finder: "Finder Credits",
  managed: "Managed Balance",
};

export const unitAmount = (unit, text) => (unit === "managed" ? dollars(text) : shown(text));

const TYPES = { auto: "automated", fba: "fulfilled by the platform", manual: "manual" };
const TRACKINGS = { none: "", bce: "BlueCare Express", qtrack: "QTrack", tracking_generator: "Tracking Generator" };

// "auto", "bce" → "automated order, BlueCare Express".
export function work(orderType, tracking) {
  const how = TRACKINGS[tracking] ?? tracking;
  return `${TYPES[orderType] ?? orderType} order${how ? `, ${how}` : ""}`;
}

// "auto/bce" → the same; "sourcing" → "sourcing".
export function action(name) {
  const [orderType, tracking] = name.split("/");
  if (tracking === undefined) return orderType === "sourcing" ? "sourcing request" : orderType;
  return work(orderType, tracking);
}

const PARTS = { order: "the order", tracking: "the tracking number", sourcing: "sourcing" };

const KINDS = {
  opened: () => "Account opened",
  granted: () => "Given to you",
  purchased: () => "Bought",
  loaded: () => "Loaded",
  held: ({ part, purchase_id: purchase }) => (purchase ? "Frozen while a payment is disputed" : `Set aside for ${PARTS[part] ?? "work"}`),
  captured: ({ part }) => `Used for ${PARTS[part] ?? "work"}`,
  released: ({ part, purchase_id: purchase }) => (purchase ? "Free again: the dispute is over" : `Given back for ${PARTS[part] ?? "work"}`),
  expired: ({ part }) => `Given back for ${PARTS[part] ?? "work"}: nobody used it in time`,
  debited: () => "Used",
  refused: () => "Not done",
  declined: () => "Payment declined",
  adjusted: () => "Corrected by support",
  clawed_back: () => "Taken back: the payment was returned",
  standing: () => "Account changed",
};

export const KIND_NAMES = {
  purchased: "bought", granted: "given", loaded: "loaded", held: "set aside", captured: "used (captured)",
  debited: "used (debited)", released: "given back", expired: "expired", refused: "not done", declined: "payment declined",
  adjusted: "corrected", clawed_back: "taken back", standing: "account changed", opened: "account opened",
};

export const entry = (one) => (KINDS[one.kind] ? KINDS[one.kind](one) : one.kind);

// What a standing entry changed, in words.
export function changes(one) {
  const said = [];
  if (one.status) said.push(`account ${one.status}`);
  if (one.orders_processor) said.push(`Orders Processor ${one.orders_processor}`);
  if ("low_balance" in one) said.push(one.low_balance === null ? "no low-balance notice" : `low-balance notice below ${shown(one.low_balance)}`);
  return said.join(", ");
}

export const METHODS = { card: "credit card", paypal: "PayPal", payoneer: "Payoneer" };

export const PURCHASE = {
  pending: "not paid yet",
  credited: "paid, credits added",
  declined: "payment declined",
  canceled: "cancelled",
  expired: "expired unpaid",
  review: "being looked at by support",
  disputed: "payment disputed",
  refunded: "refunded",
  charged_back: "charged back",
};

export const isUnpaid = ({ status }) => status === "pending" || status === "declined";

// "20.00 Auto-Order Credits".
export const bought = ({ unit, credits }) =>
  unit === "managed" ? `${dollars(credits)} of Managed Balance` : `${shown(credits)} ${UNITS[unit] ?? unit}`;
