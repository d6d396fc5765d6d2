#!/usr/bin/env node
// A bot on Bellwire's stream: places a call and talks on it.
//
//     node bot.mjs --to +15550100 echo
//     node bot.mjs --to +15550100 play greeting.wav
//     node bot.mjs --to +15550100 interrupt story.wav     stops when the caller speaks
//
// Node has a WebSocket from version 22 on (20: --experimental-websocket); before, `npm install ws`.
// The protocol is in docs/stream.md. Each event is printed as one JSON object a line.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { parseArgs } from "node:util";

const Socket = globalThis.WebSocket ?? createRequire(import.meta.url)("ws");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { api: { type: "string", default: "http://127.0.0.1:8080" }, to: { type: "string" } },
});
const [bot, file] = positionals;
if (!values.to || !["echo", "play", "interrupt"].includes(bot) || (bot !== "echo" && !file)) {
  console.error("usage: bot.mjs --to NUMBER echo | play FILE | interrupt FILE");
  process.exit(2);
}

/** One request to the REST API; its answer. */
async function ask(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (process.env.BELLWIRE_KEY_FILE) {
    headers.authorization = `Bearer ${(await readFile(process.env.BELLWIRE_KEY_FILE, "utf8")).trim()}`;
  }
  const answer = await fetch(values.api + path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Makes a call and gives the address of its stream, with a ticket that is good once. */
async function place(query) {
  const [instance] = await ask("GET", "/v1/instances");
  const call = await ask("POST", "/v1/calls", {
    instanceId: instance.id, type: "DYNAMIC_STREAM", target: { phoneNumber: values.to },
  });
  const { url } = await ask("POST", `/v1/calls/${call.id}/tickets`, {});
  return `${values.api.replace("http", "ws")}${url}&${query}`;
}

// What we hear is what we send back: 16 bit at the telephone's rate. Files bring their own.
const query = "protocol=native&listen=caller&out_rate=8000" + {
  echo: "&format=pcm_s16le&rate=8000&playout=live",
  play: "&format=auto",
  interrupt: "&format=auto&barge_in=notify",
}[bot];

const socket = new Socket(await place(query), "bellwire.stream.v1");
socket.binaryType = "arraybuffer";
const send = (message) => socket.send(JSON.stringify(message));

/** Sends a WAV or MP3 file as it is; up to a minute is queued by the gateway. */
async function play() {
  const sound = await readFile(file);
  send({ type: "utterance", id: basename(file) });
  for (let at = 0; at < sound.length; at += 16384) socket.send(sound.subarray(at, at + 16384));
  send({ type: "utterance_end" });
  // Comes back when the last sample before it has left.
  send({ type: "mark", name: "end" });
}

socket.onmessage = ({ data }) => {
  if (typeof data !== "string") {
    if (bot === "echo") socket.send(data);
    return;
  }
  console.log(data);
  const event = JSON.parse(data);
  if (event.type === "call_event" && event.event === "answered" && bot !== "echo") play();
  // `playback` will say how much of it the caller has heard.
  if (event.type === "speech" && event.state === "started" && bot === "interrupt") send({ type: "clear" });
  if (event.type === "mark") send({ type: "hangup", after: "playback" });
};
socket.onerror = ({ message }) => console.error(message ?? "the stream failed");
socket.onclose = ({ code }) => process.exit(code === 1000 ? 0 : 1);
