// REST, as this page needs it. The key lives in this module and nowhere else.

let key = "";

/** What the API, the network or the browser has against it, in words for people. */
export class Refusal extends Error {
  constructor(title, detail = "", code = "") {
    super([title, detail].filter(Boolean).join(": "));
    this.code = code;
  }
}

export function signIn(secret) {
  key = secret.trim();
}

export function signOut() {
  key = "";
}

async function ask(method, path, body) {
  const headers = { accept: "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit", cache: "no-store", redirect: "error",
    });
  } catch {
    throw new Refusal("The gateway does not answer", "is it running, and is the network up?");
  }
  if (answer.status === 204) return null;
  let value = null;
  try {
    value = await answer.json();
  } catch {
    throw new Refusal(`The answer (${answer.status}) is not Bellwire's`);
  }
  if (answer.ok) return value;
  const id = value.request_id ? ` (request ${value.request_id})` : "";
  throw new Refusal(value.title ?? `Status ${answer.status}`, `${value.detail ?? ""}${id}`, value.code);
}

export const instances = () => ask("GET", "/v1/instances");

/** Makes a call whose sound this page brings. */
export const place = (instanceId, phoneNumber) =>
  ask("POST", "/v1/calls", { instanceId, type: "DYNAMIC_STREAM", target: { phoneNumber } });

export const show = (call) => ask("GET", `/v1/calls/${encodeURIComponent(call)}`);

export const end = (call) => ask("DELETE", `/v1/calls/${encodeURIComponent(call)}`);

/** A pass to the stream, good once: the key itself never stands in a URL. */
export async function ticket(call) {
  const made = await ask("POST", `/v1/calls/${encodeURIComponent(call)}/tickets`, {});
  return made.ticket;
}
