// Calls the API on the page's own origin. What the API refuses is a Problem, with its stable code and its own words.
import { isOver } from "./signin.js";

const TRIES = 3;
const PAUSE_MS = 600;
const LATER = [429, 502, 503, 504];

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.message ?? body.title ?? `The service answered ${status}.`);
    this.status = status;
    this.code = body.code ?? `http_${status}`;
    this.body = body;
  }
}

// The token has run out: nothing was sent, or the service knew it no more.
export class SessionOver extends Error {}

// Nobody answered, or with "later": what was asked may be asked again as it was.
export class Unavailable extends Error {}

export class Api {
  constructor(session) {
    this.session = session;
    this.account = `/v1/accounts/${encodeURIComponent(session.account)}`;
  }

  get(path, query = {}) {
    return this.call("GET", path + queryOf(query));
  }

  // A call of a route that is idempotent by itself: sent again after "later", it does nothing twice. Others need a key, and
  // are made by `answer`.
  send(method, path, body = {}) {
    return this.call(method, path, { body });
  }

  async text(path, query) {
    return (await this.answer("GET", path + queryOf(query), { accept: "text/csv" })).text();
  }

  async call(method, path, options = {}) {
    return (await this.answer(method, path, options)).json();
  }

  async answer(method, path, { body, key, accept = "application/json" } = {}) {
    const headers = { Accept: accept, Authorization: `Bearer ${this.session.token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = key;
    const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" };
    const address = path.startsWith("/v1/") ? path : this.account + path;
    for (let tries = 1; ; tries += 1) {
      if (isOver(this.session)) throw new SessionOver();
      const response = await fetch(address, request).catch(() => null);
      if (response?.ok) return response;
      if (response?.status === 401) throw new SessionOver();
      if (response && !LATER.includes(response.status)) throw new Problem(response.status, await bodyOf(response));
      if (tries === TRIES) throw new Unavailable();
      await pause(response, tries);
    }
  }

  // Every item of a list, page by page.
  async *items(path, query = {}) {
    for (let cursor = null; ; ) {
      const { items, next_cursor: next } = await this.get(path, { ...query, cursor });
      yield items;
      if (!next) return;
      cursor = next;
    }
  }
}

function queryOf(query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

const bodyOf = (response) => response.json().catch(() => ({}));

function pause(response, tries) {
  const asked = Number(response?.headers.get("Retry-After") ?? 0) * 1000;
  const longest = Math.min(Math.max(asked, PAUSE_MS * 2 ** tries), 5_000);
  return new Promise((resolve) => setTimeout(resolve, longest * (0.5 + Math.random() / 2)));
}
