// The page: what is shown, and what the buttons do. One call at a time.

import * as api from "./api.js";
import { Refusal } from "./api.js";
import * as audio from "./audio.js";
import { open } from "./stream.js";
import { Trend, Wave } from "./wave.js";

/** Events that are kept on the page. */
const EVENTS_MAX = 500;

const $ = (id) => document.getElementById(id);
const ui = Object.fromEntries([
  "error", "signin", "signin-form", "key", "place", "place-form", "instance", "number", "clean", "dial",
  "signout", "call", "status", "clock", "call-id", "mute", "hold", "again", "hangup", "keys", "live",
  "figures", "stages", "happened", "events", "theme",
].map((id) => [id, $(id)]));

const micWave = new Wave($("mic-wave"), $("mic-level"));
const farWave = new Wave($("far-wave"), $("far-level"));
const trend = new Trend($("trend"), $("trend-top"));

/** Close codes: a connection that broke, and a conversation that cannot be gone on with. */
const [LOST, RESUME_OVER] = [1006, 4004];
/** Between a loss and an attempt to come back, and from one attempt to the next. */
const BACK_MS = 500;

/** The call on this page: `{id, sound, stream, answeredAt, over, …}`; null between calls. */
let call = null;
/** Events have been added since the log was last scrolled. */
let noted = false;

const FIGURES = {
  mos: "MOS, as we hear", mosTx: "MOS, as they hear", loss: "Loss", jitter: "Jitter", rtt: "Round trip, carrier",
  trip: "Round trip, page", queued: "Playout queue", browser: "Browser's queue", underruns: "Ran dry",
  concealed: "Concealed",
};
const STAGES = ["decode", "resample", "queue", "send", "order", "write"];
const LABELS = {
  queued: "Waiting", dialing: "Dialling", ringing: "Ringing", early_media: "Ringing, with sound", answered: "Talking",
  hold: "On hold", resume: "Talking", ended: "Ended", offered: "Incoming",
};
const figures = {};

function build() {
  for (const [name, label] of Object.entries(FIGURES)) {
    const [box, term, value] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = label;
    value.textContent = "–";
    value.id = `figure-${name}`;
    box.append(term, value);
    ui.figures.append(box);
    figures[name] = value;
  }
  for (const digit of "123456789*0#") {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = digit;
    button.dataset.digit = digit;
    button.setAttribute("aria-label", { "*": "star", "#": "hash" }[digit] ?? digit);
    button.onclick = () => call?.stream?.send({ type: "dtmf", digits: digit, id: `key ${digit}` });
    ui.keys.append(button);
  }
}

function fail(error) {
  console.warn(error);
  ui.error.textContent = error instanceof Error ? error.message : String(error);
  ui.error.hidden = false;
}

function forgive() {
  ui.error.hidden = true;
  ui.error.textContent = "";
}

/** Runs what a button asks for; the button waits, and what goes wrong is said. */
async function attempt(button, work) {
  forgive();
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    fail(error);
  } finally {
    button.disabled = false;
  }
}

const show = (name, value) => {
  figures[name].textContent = value ?? "–";
};
const ms = (value) => (Number.isFinite(value) ? `${Math.round(value)} ms` : null);

function note(kind, text, bad = false) {
  const line = document.createElement("li");
  const parts = [new Date().toLocaleTimeString([], { hour12: false }), kind, text];
  line.append(...parts.map((part) => {
    const cell = document.createElement("span");
    cell.textContent = part;
    return cell;
  }));
  line.classList.toggle("warning", bad);
  ui.events.append(line);
  while (ui.events.childElementCount > EVENTS_MAX) ui.events.firstElementChild.remove();
  noted = true;
}

/** Keeps the newest event in sight, unless the reader has scrolled to older ones. */
function follow() {
  const log = ui.events;
  if (noted && !log.matches(":focus, :hover")) log.scrollTop = log.scrollHeight;
  noted = false;
}

async function signIn() {
  api.signIn(ui.key.value);
  const lines = await api.instances();
  ui.key.value = "";
  if (lines.length === 0) throw new Refusal("No instance", "this key is bound to none; make one first");
  ui.instance.replaceChildren(...lines.map((line) => {
    const option = document.createElement("option");
    option.value = line.id;
    option.textContent = line.name === line.id ? line.id : `${line.name} (${line.id})`;
    return option;
  }));
  ui.signin.hidden = true;
  ui.place.hidden = false;
  ui.number.focus();
}

async function signOut() {
  if (call) await hangUp();
  api.signOut();
  ui.place.hidden = true;
  ui.call.hidden = true;
  ui.live.hidden = true;
  ui.happened.hidden = true;
  ui.events.replaceChildren();
  ui.signin.hidden = false;
  ui.key.focus();
}

async function dial() {
  if (call) throw new Refusal("One call at a time", "hang up first");
  const mine = {
    id: null, sound: null, stream: null, answeredAt: null, over: false, resume: null, lostAt: null, label: "",
  };
  call = mine;
  try {
    mine.sound = await audio.start(ui.clean.checked, {
      captured: (frame) => captured(mine, frame),
      played: (told) => played(mine, told),
      lost: fail,
    });
    const made = await api.place(ui.instance.value, ui.number.value.trim());
    mine.id = made.id;
    reset(made);
    await attach(mine);
  } catch (error) {
    if (mine.id && (await ended(mine))) return;
    await finish(mine);
    throw error;
  }
}

/** Whether the call is over; then the page says why, and it is finished. */
async function ended(mine) {
  const now = await api.show(mine.id);
  if (!["COMPLETED", "FAILED"].includes(now.status)) return false;
  ui.status.textContent = `Ended: ${now.end_reason ?? now.status}`;
  note("ended", now.end_detail ?? now.sip_reason ?? "");
  await finish(mine);
  return true;
}

/** The page as a call begins. */
function reset(made) {
  ui.events.replaceChildren();
  ui["call-id"].textContent = made.id;
  ui.status.textContent = "Waiting";
  ui.clock.textContent = "0:00";
  for (const button of [ui.mute, ui.hold]) button.setAttribute("aria-pressed", "false");
  ui.mute.textContent = "Mute me";
  ui.hold.textContent = "Hold";
  Object.keys(figures).forEach((name) => show(name, null));
  ui.stages.replaceChildren();
  trend.points = [];
  for (const section of [ui.call, ui.live, ui.happened]) section.hidden = false;
  for (const button of [ui.mute, ui.hold, ui.hangup]) button.disabled = false;
  ui.hangup.focus();
}

async function attach(mine) {
  ui.again.hidden = true;
  const pass = await api.ticket(mine.id);
  // The page may have hung up meanwhile.
  if (mine.over) return;
  mine.stream = open(mine.id, pass, mine.sound.rate, audio.OUT_RATE, mine.resume, {
    message: (message) => heard(mine, message),
    sound: (octets) => mine.sound?.play(octets),
    roundTrip: (time) => show("trip", ms(time)),
    skipped: (time) => note("slow network", `${Math.round(time)} ms of your voice were left out so far`, true),
    closed: (error, code) => closed(mine, error, code),
  });
}

function captured(mine, frame) {
  let [low, high] = [0, 0];
  for (const sample of frame) {
    if (sample < low) low = sample;
    if (sample > high) high = sample;
  }
  micWave.add(low / 32768, high / 32768);
  mine.stream?.sound(frame.buffer);
}

function played(mine, told) {
  farWave.add(told.low, told.high);
  mine.browserMs = told.queuedMs;
  mine.underruns = told.underruns;
}

/** A message of the stream. */
function heard(mine, message) {
  const { type } = message;
  if (type === "stats") return showStats(mine, message);
  if (type === "start") {
    if (mine.lostAt !== null) ui.status.textContent = mine.label;
    mine.lostAt = null;
  }
  if (type === "error") {
    note("error", `${message.id ? `${message.id}: ` : ""}${message.detail}`, true);
    if (message.id !== "hold") return;
    return pressed(ui.hold, ui.hold.getAttribute("aria-pressed") !== "true");
  }
  if (type === "ack") return note("done", String(message.id));
  if (type === "warning") return note("warning", [message.detail, message.hint].filter(Boolean).join(": "), true);
  if (type === "call_event") {
    if (message.event === "answered") mine.answeredAt ??= performance.now();
    const label = LABELS[message.event];
    if (label) ui.status.textContent = mine.label = label;
    return note(message.event, message.detail ?? message.state ?? message.answered_by ?? "");
  }
  if (type === "stop") ui.status.textContent = `Ended: ${message.reason}`;
  note(type, summary(message));
}

/** The fields of a message that people read. */
function summary({ type, seq, t_ms, timestamp, ...fields }) {
  if (type === "transcript") return fields.text;
  if (type === "start") return `${fields.direction}, ${fields.to}`;
  const plain = Object.entries(fields).filter(([, value]) => value !== null && typeof value !== "object");
  return plain.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
}

function showStats(mine, { quality, queued_ms: queuedMs, stages }) {
  show("mos", quality.mos?.toFixed(2));
  show("mosTx", quality.mos_tx?.toFixed(2));
  show("loss", Number.isFinite(quality.loss) ? `${(quality.loss * 100).toFixed(1)} %` : null);
  show("jitter", Number.isFinite(quality.jitter_ms) ? `${quality.jitter_ms.toFixed(1)} ms` : null);
  show("rtt", ms(quality.rtt_ms ?? undefined));
  show("queued", ms(queuedMs));
  show("browser", ms(mine.browserMs));
  show("underruns", `${quality.underruns ?? 0} / ${mine.underruns ?? 0}`);
  show("concealed", ms(quality.concealed_ms ?? undefined));
  trend.add(quality.jitter_ms ?? 0, queuedMs);
  ui.stages.replaceChildren(...STAGES.filter((name) => stages?.[name]?.count).map((name) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    const { p50_ms, p99_ms, max_ms } = stages[name];
    row.append(head, ...[p50_ms, p99_ms, max_ms].map((value) => {
      const cell = document.createElement("td");
      cell.textContent = value.toFixed(1);
      return cell;
    }));
    return row;
  }));
}

/** The socket is gone: the end of the call, or a break that is mended, by itself where that can be. */
async function closed(mine, error, code) {
  if (mine.over) return;
  mine.resume = code === RESUME_OVER ? null : (mine.stream?.resume ?? null);
  mine.stream = null;
  if (error === null) return finish(mine);
  note("stream", error.message, true);
  if (code !== LOST || !(await comeBack(mine))) await giveUp(mine, error);
}

async function giveUp(mine, error) {
  // Whoever attaches again begins anew.
  [mine.resume, mine.lostAt] = [null, null];
  fail(error);
  try {
    if (await ended(mine)) return;
  } catch (second) {
    fail(second);
  }
  ui.again.hidden = mine.over;
}

/** Attaches again where the conversation stopped, while the call lingers; whether that is under way. */
async function comeBack(mine) {
  mine.lostAt ??= performance.now();
  while (mine.resume && performance.now() - mine.lostAt < mine.resume.lingerMs) {
    ui.status.textContent = "Coming back…";
    await new Promise((done) => setTimeout(done, BACK_MS));
    if (mine.over || mine.stream) return true;
    try {
      if (await ended(mine)) return true;
      await attach(mine);
      return true;
    } catch (error) {
      note("stream", error.message, true);
    }
  }
  return false;
}

async function hangUp() {
  const mine = call;
  if (!mine) return;
  if (mine.stream) {
    // `stop` and the close follow, which finish the call here.
    mine.stream.send({ type: "hangup", reason: "hung up in the console" });
    return;
  }
  if (mine.id) await api.end(mine.id);
  ui.status.textContent = "Ended";
  await finish(mine);
}

async function finish(mine) {
  if (mine.over) return;
  mine.over = true;
  if (call === mine) call = null;
  mine.stream?.close();
  await mine.sound?.stop();
  mine.sound = null;
  ui.again.hidden = true;
  for (const button of [ui.mute, ui.hold, ui.hangup]) button.disabled = true;
}

function pressed(button, on) {
  button.setAttribute("aria-pressed", String(on));
  const words = { mute: ["Mute me", "Unmute me"], hold: ["Hold", "Resume"] }[button.id];
  button.textContent = words[Number(on)];
}

function toggle(button, act) {
  const on = button.getAttribute("aria-pressed") !== "true";
  pressed(button, on);
  act(on);
}

ui["signin-form"].onsubmit = (event) => {
  event.preventDefault();
  attempt(event.submitter ?? ui["signin-form"].querySelector("button"), signIn);
};
ui["place-form"].onsubmit = (event) => {
  event.preventDefault();
  attempt(ui.dial, dial);
};
ui.signout.onclick = () => attempt(ui.signout, signOut);
ui.hangup.onclick = () => attempt(ui.hangup, hangUp).then(() => { ui.hangup.disabled = !call; });
ui.again.onclick = () => attempt(ui.again, () => attach(call));
ui.mute.onclick = () => toggle(ui.mute, (on) => call?.sound?.mute(on));
ui.hold.onclick = () => toggle(ui.hold, (on) => call?.stream?.send({ type: on ? "hold" : "unhold", id: "hold" }));
ui.theme.onchange = () => {
  document.documentElement.dataset.theme = ui.theme.value;
};
document.onkeydown = (event) => {
  // Keys of the telephone, unless they are meant for a field.
  if (!call?.stream || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
  const key = [...ui.keys.children].find((button) => button.dataset.digit === event.key);
  key?.click();
};
// A call whose page is gone has nobody who speaks.
window.onpagehide = () => call?.stream?.send({ type: "hangup", reason: "the console was closed" });

build();
setInterval(() => {
  micWave.draw();
  farWave.draw();
  follow();
  if (!call?.answeredAt) return;
  const seconds = Math.floor((performance.now() - call.answeredAt) / 1000);
  ui.clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}, 100);
