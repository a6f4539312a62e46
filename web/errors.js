// Says what went wrong and what to do. Nothing typed is lost by it.
import { Problem, SessionOver, Unavailable } from "./api.js";
import { button, notice } from "./dom.js";

const BUSY = "The service is busy or cannot be reached. Nothing is lost: try again in a moment.";
const OVER = "Your session has ended. Sign in again to go on: what you typed is kept.";

let signInAgain = () => {};

export function onSessionOver(signIn) {
  signInAgain = signIn;
}

export function tell(error, { place, retry } = {}) {
  if (error instanceof SessionOver)
    return notice(OVER, { place, actions: [button("Sign in again", () => signInAgain(), { class: "main" })] });
  if (error instanceof Unavailable) {
    const again = retry && button("Try again", () => { shown.remove(); retry(); });
    const shown = notice(BUSY, { place, actions: again ? [again] : [] });
    return shown;
  }
  if (error instanceof Problem) return notice(told(error), { place });
  console.error(error);
  return notice("Something went wrong on this page. Reload it; if that does not help, tell support.", { place });
}

function told({ message, status, body }) {
  if (status !== 500) return message;
  const request = body.request_id ? ` If it happens again, tell support: request ${body.request_id}.` : "";
  return `Something went wrong on our side. Try again later.${request}`;
}

// Runs the work, and says what went wrong.
export async function attempt(work, options = {}) {
  try {
    await work();
  } catch (error) {
    tell(error, { retry: () => attempt(work, options), ...options });
  }
}
