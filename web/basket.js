// The keys of purchases. All tabs of a merchant share a basket: the same choice has the same key in each of them, so that
// it is bought once however often it is asked for. When a purchase is over, the next dialog takes another basket.

const nameOf = (account) => `basket ${account}`;

// One tab at a time: two that begin together must not begin two baskets.
const alone = (account, work) => navigator.locks.request(nameOf(account), work);

export function basketOf(account) {
  return alone(account, async () => {
    const basket = localStorage.getItem(nameOf(account)) ?? crypto.randomUUID();
    localStorage.setItem(nameOf(account), basket);
    return basket;
  });
}

// A dialog that is open goes on with the basket it has.
export function renew(account) {
  return alone(account, async () => localStorage.removeItem(nameOf(account)));
}

export async function keyOf(basket, request) {
  const text = JSON.stringify(Object.entries(request).sort());
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const choice = Array.from(digest.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${basket}-${choice}`;
}
