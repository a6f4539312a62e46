// Times as people read them, in their own zone; days are UTC days, as the API counts them.

const SHORT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const DAY_MS = 24 * 60 * 60 * 1000;

export const time = (text) => SHORT.format(new Date(text));

export const day = (text) => DAY.format(new Date(`${text}T00:00:00Z`));

export const dayOf = (at) => new Date(at).toISOString().slice(0, 10);

export const dayAfter = (text, days = 1) => dayOf(Date.parse(`${text}T00:00:00Z`) + days * DAY_MS);

export const midnight = (text) => `${text}T00:00:00.000Z`;

export function lastDays(count, now) {
  return Array.from({ length: count }, (_, index) => dayOf(now - (count - 1 - index) * DAY_MS));
}
