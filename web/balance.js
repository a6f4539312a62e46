// The balances, and the threshold below which the merchant wants to be told.
import { byId, busy, el, say } from "./dom.js";
import { attempt } from "./errors.js";
import { hundredths, shown, typed } from "./money.js";
import { UNITS, unitAmount } from "./words.js";

const HELD = "set aside for work on its way: used when it is done, given back when it fails.";
const STANDING = {
  paused: "Your account is paused: no new work is taken.",
  suspended: "Your account is suspended: no new work and no purchases. Please ask support.",
  closed: "Your account is closed.",
};

export function showBalance(account) {
  const credits = account.balances.auto_order;
  byId("available").textContent = shown(credits.available);
  const held = hundredths(credits.held) ? `${shown(credits.held)} more are ${HELD}` : "None are set aside.";
  byId("held-text").textContent = held;
  const warning = standingOf(account);
  byId("standing").textContent = warning;
  byId("standing").hidden = !warning;
  const others = Object.entries(account.balances).filter(([unit]) => unit !== "auto_order");
  byId("others").replaceChildren(...others.map(([unit, balance]) => otherBalance(unit, balance)));
  busy(byId("balance"), false);
}

function standingOf({ status, orders_processor: addOn, balances }) {
  if (STANDING[status]) return STANDING[status];
  if (addOn !== "active") return "The Orders Processor add-on is not active: credits can be neither bought nor used.";
  if (hundredths(balances.auto_order.available) < 0)
    return "Your balance is below zero, since a payment was returned. New orders wait until you have bought credits.";
  return "";
}

function otherBalance(unit, balance) {
  const held = hundredths(balance.held) ? `, ${unitAmount(unit, balance.held)} set aside` : "";
  return el(
    "div", {},
    el("dt", {}, UNITS[unit] ?? unit),
    el("dd", {}, el("strong", {}, unitAmount(unit, balance.available)), ` available${held}`),
  );
}

export function threshold(api) {
  const field = byId("threshold"), text = byId("threshold-text");
  const showSettings = ({ low_balance: low }) => {
    field.value = low ?? "";
  };
  let isTyped = false; // what a person has typed is never replaced by an answer that comes late
  field.addEventListener("input", () => {
    isTyped = true;
  });
  byId("threshold-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const low = field.value.trim() === "" ? null : typed(field.value);
      if (low === null && field.value.trim() !== "") {
        field.setAttribute("aria-invalid", "true");
        text.textContent = "Write an amount such as 20 or 2.50, or leave it empty for no notice.";
        return;
      }
      field.removeAttribute("aria-invalid");
      showSettings(await api.send("PUT", "/settings", { low_balance: low }));
      text.textContent = low === null ? "Saved: no notice." : `Saved: you are told below ${shown(low)} credits.`;
      say(text.textContent);
    });
  });
  return async () => {
    const settings = await api.get("/settings");
    if (!isTyped) showSettings(settings);
  };
}
