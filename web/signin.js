// Signs in at the OpenID Connect provider: authorization code with PKCE, by redirects of the whole page. The access token
// stays in memory; only what a redirect has to survive stands in sessionStorage, and is gone when it is over.
import * as oauth from "./vendor/oauth4webapi.js";

const PENDING = "sign-in", SERVER = "sign-in server";
const LEEWAY_MS = 10_000;
const RIGHTS = ["credits:read", "credits:purchase", "credits:consume", "credits:admin"];

// Nobody is signed in; the message says why, to the person.
export class NotSignedIn extends Error {}

const home = () => `${location.origin}/`;

// Only a provider on this machine may be spoken to without TLS.
const onThisMachine = (issuer) => ["127.0.0.1", "localhost"].includes(new URL(issuer).hostname);
const options = (config) => ({ [oauth.allowInsecureRequests]: onThisMachine(config.issuer) });

// Whether the page was opened by the provider's redirect.
export const isReturn = (address) => ["code", "error", "state"].some((name) => address.searchParams.has(name));

// Leaves for the provider. `silent`: it answers at once, by its session or that there is none.
export async function leave(config, { silent }) {
  const server = await serverOf(config);
  const state = oauth.generateRandomState(), nonce = oauth.generateRandomNonce();
  const verifier = oauth.generateRandomCodeVerifier();
  sessionStorage.setItem(PENDING, JSON.stringify({ state, nonce, verifier, silent, hash: location.hash }));
  const address = new URL(server.authorization_endpoint);
  const asked = {
    client_id: config.client_id, redirect_uri: home(), response_type: "code", scope: config.scope, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
    ...(silent ? { prompt: "none" } : {}),
  };
  for (const [name, value] of Object.entries(asked)) address.searchParams.set(name, value);
  location.assign(address);
  return new Promise(() => {}); // the page goes away
}

// The session that the provider's redirect brings; `address` is the one it came to. Throws NotSignedIn.
export async function arrive(config, address) {
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
  sessionStorage.removeItem(PENDING);
  if (!pending || pending.state !== address.searchParams.get("state"))
    throw new NotSignedIn("This sign-in was not begun here, or is over. Please sign in again.");
  history.replaceState(null, "", `/${pending.hash}`);
  const error = address.searchParams.get("error");
  if (error && pending.silent) throw new NotSignedIn("Sign in to see your credits.");
  if (error) throw new NotSignedIn("The sign-in was refused or called off. Please try again.");
  return sessionOf(config, await tokens(config, address, pending));
}

async function tokens(config, address, { state, nonce, verifier }) {
  const server = await serverOf(config), client = { client_id: config.client_id };
  try {
    const answer = oauth.validateAuthResponse(server, client, address, state);
    const response = await oauth.authorizationCodeGrantRequest(
      server, client, oauth.None(), answer, home(), verifier, options(config),
    );
    return await oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce });
  } catch (error) {
    console.warn("sign-in:", error.code ?? error.name);
    throw new NotSignedIn("The sign-in could not be completed. Please try again.");
  }
}

// The token's payload is read to show what may be done; what may be done, the API judges.
function sessionOf(config, { access_token: token, id_token: identity, expires_in: seconds }) {
  const base64 = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const claims = JSON.parse(new TextDecoder().decode(bytes));
  const listed = claims.scope ?? claims.scp ?? [];
  const scopes = new Set(typeof listed === "string" ? listed.split(" ") : listed);
  const prefix = /(\S*)credits:read/.exec(config.scope)?.[1] ?? "";
  return {
    token,
    identity,
    expiresAt: claims.exp ? claims.exp * 1000 : Date.now() + (seconds ?? 300) * 1000,
    account: claims.account_id ?? null,
    store: claims.store_id ?? null,
    rights: new Set(RIGHTS.filter((right) => scopes.has(prefix + right))),
  };
}

export const isOver = (session) => session.expiresAt - LEEWAY_MS <= Date.now();

// Ends the session here and, where the provider has an address for it, there.
export async function signOut(config, { identity }) {
  const server = await serverOf(config);
  sessionStorage.clear();
  if (!server.end_session_endpoint) return location.assign(home());
  const address = new URL(server.end_session_endpoint);
  address.searchParams.set("client_id", config.client_id);
  if (identity) address.searchParams.set("id_token_hint", identity); // else the provider may ask first
  for (const name of ["post_logout_redirect_uri", "logout_uri"]) address.searchParams.set(name, home()); // the latter is Cognito's
  return location.assign(address);
}

async function serverOf(config) {
  const kept = JSON.parse(sessionStorage.getItem(SERVER) ?? "null");
  if (kept?.issuer === config.issuer) return kept;
  const issuer = new URL(config.issuer);
  const response = await oauth.discoveryRequest(issuer, options(config));
  const server = await oauth.processDiscoveryResponse(issuer, response);
  sessionStorage.setItem(SERVER, JSON.stringify({ ...server, issuer: config.issuer }));
  return { ...server, issuer: config.issuer };
}
