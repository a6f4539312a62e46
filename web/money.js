// Amounts as the API writes them: decimals with two places, kept as whole hundredths. Nothing here is a float.

export function hundredths(text) {
  const match = /^([+-]?)([0-9]+)\.([0-9]{2})$/.exec(text);
  if (!match) throw new RangeError(`not an amount: ${text}`);
  const whole = Number(match[2] + match[3]);
  return match[1] === "-" ? -whole : whole;
}

export function amount(whole) {
  const digits = String(Math.abs(whole)).padStart(3, "0");
  return `${whole < 0 ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

export function shown(text) {
  const [, sign, units, rest] = /^([+-]?)([0-9]+)(\.[0-9]+)$/.exec(text);
  return (sign === "-" ? "−" : sign) + units.replace(/\B(?=([0-9]{3})+$)/g, ",") + rest;
}

export const signed = (text) => shown(text.startsWith("-") || hundredths(text) === 0 ? text : `+${text}`);

export const dollars = (text) => (text.startsWith("-") ? `−$${shown(text.slice(1))}` : `$${shown(text)}`);

// What people type: "2", "2.5" and "2,50" are amounts; null if it is none.
export function typed(text) {
  const match = /^\s*([0-9]{1,10})(?:[.,]([0-9]{1,2}))?\s*$/.exec(text);
  return match && `${match[1].replace(/^0+(?=.)/, "")}.${(match[2] ?? "").padEnd(2, "0")}`;
}
