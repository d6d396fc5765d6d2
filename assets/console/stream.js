// The socket of a call: `bellwire.stream.v1`, binary both ways.

import { Refusal } from "./api.js";

/** Sound that may wait in the browser for a slow network; beyond, what comes is left out. */
const BACKLOG_MS = 500;
/** How often it is said that sound was left out. */
const SAY_MS = 2000;
/** How often the way there and back is measured. */
const PING_MS = 2000;

const CLOSES = {
  1001: "the gateway is about to stop",
  1006: "the connection was lost",
  1008: "the gateway does not let this page in",
  1009: "a message was too big",
  4000: "the gateway did not understand this page",
  4001: "another client took the call over",
  4003: "this page was too slow",
  4004: "the time to come back is over",
};

/**
 * Opens the stream. `on` has: message(object), sound(ArrayBuffer), roundTrip(ms), skipped(ms),
 * closed(Refusal | null, the code).
 *
 * `resume` is where a conversation that lost its socket goes on, `{token, since, lingerMs}`, or
 * null; what is opened keeps it as `resume`, for the next time.
 */
export function open(call, ticket, rate, outRate, resume, on) {
  const query = new URLSearchParams({
    ticket, format: "pcm_s16le", rate, out_format: "pcm_s16le", out_rate: outRate, frame_ms: 20,
    listen: "caller", playout: "live", jitter: "paced", stats_ms: 1000,
    ...(resume && { resume: resume.token, since: resume.since }),
  });
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const url = `${scheme}://${location.host}/v1/calls/${encodeURIComponent(call)}/stream?${query}`;
  const socket = new WebSocket(url, "bellwire.stream.v1");
  socket.binaryType = "arraybuffer";
  let stopped = false;
  let asked = 0;
  let skippedMs = 0;
  let toldAt = 0;
  const backlog = (rate * 2 * BACKLOG_MS) / 1000;

  const send = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const beat = setInterval(() => {
    if (asked === 0) {
      asked = performance.now();
      send({ type: "ping", id: "round-trip" });
    }
  }, PING_MS);

  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") return on.sound(data);
    const message = JSON.parse(data);
    if (message.type === "pong") {
      on.roundTrip(performance.now() - asked);
      asked = 0;
    } else {
      stopped ||= message.type === "stop";
      if (message.type === "start") {
        const { token, linger_ms: lingerMs } = message.resume ?? {};
        opened.resume = token ? { token, lingerMs } : null;
      }
      if (opened.resume) opened.resume.since = message.seq;
      on.message(message);
    }
  };
  socket.onclose = ({ code, reason }) => {
    clearInterval(beat);
    if (stopped || code === 1000) return on.closed(null, code);
    const why = CLOSES[code] ?? "the gateway closed it";
    on.closed(new Refusal("The stream broke off", `${why} (${code}${reason ? `, ${reason}` : ""})`), code);
  };

  const opened = {
    resume,
    send,
    sound(frame) {
      if (socket.readyState !== WebSocket.OPEN) return;
      if (socket.bufferedAmount > backlog) {
        skippedMs += (frame.byteLength / 2 / rate) * 1000;
        // A page that is behind must not be kept busy with saying so.
        if (performance.now() - toldAt < SAY_MS) return;
        toldAt = performance.now();
        return on.skipped(skippedMs);
      }
      socket.send(frame);
    },
    close: () => socket.close(1000),
  };
  return opened;
}
