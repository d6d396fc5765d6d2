// The microphone and the loudspeaker: one audio context, two worklets.

import { Refusal } from "./api.js";

/** Rate of the context where the browser lets us choose. */
const RATE = 48000;
/** Rates that the stream takes from a client. */
const RATES = [8000, 16000, 22050, 24000, 32000, 44100, 48000];
/** Rate of what the gateway sends: more than any telephone has. */
export const OUT_RATE = 24000;

const MICROPHONE = {
  NotAllowedError: "the browser was told not to let this page hear you; allow the microphone for this site",
  NotFoundError: "there is none",
  NotReadableError: "another program holds it",
  OverconstrainedError: "it cannot do what was asked of it",
};

/** Opens the microphone; throws a Refusal that says what to do. */
async function microphone(clean) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Refusal("No microphone",
      "browsers give it to https:// pages and to this machine (http://localhost) only");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: clean, noiseSuppression: clean, autoGainControl: clean },
    });
  } catch (error) {
    throw new Refusal("No microphone", MICROPHONE[error.name] ?? error.message);
  }
}

/**
 * Starts both directions. `on.captured(Int16Array)` gets 20 ms of the microphone at `rate`;
 * `on.played({low, high, queuedMs, underruns, skippedMs})` tells every 20 ms what the loudspeaker got.
 */
export async function start(clean, on) {
  const stream = await microphone(clean);
  let context = null;
  try {
    context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    try {
      return await wire(context, stream, on);
    } catch (error) {
      // A browser that does not bring a microphone to another rate: take the microphone's.
      if (error.name !== "NotSupportedError") throw error;
      await context.close();
      context = new AudioContext({ latencyHint: "interactive" });
      return await wire(context, stream, on);
    }
  } catch (error) {
    stream.getTracks().forEach((track) => track.stop());
    await context?.close();
    throw error instanceof Refusal ? error : new Refusal("No sound", error.message);
  }
}

async function wire(context, stream, on) {
  if (!RATES.includes(context.sampleRate)) {
    throw new Refusal("No sound", `this device runs at ${context.sampleRate} Hz, which the stream does not take`);
  }
  await context.audioWorklet.addModule("/console/worklet.js");
  const source = context.createMediaStreamSource(stream);
  const one = { channelCount: 1, channelCountMode: "explicit" };
  const capture = new AudioWorkletNode(context, "capture", { ...one, numberOfOutputs: 0 });
  const player = new AudioWorkletNode(context, "player", {
    ...one, numberOfInputs: 0, outputChannelCount: [1], processorOptions: { rate: OUT_RATE },
  });
  capture.port.onmessage = ({ data }) => on.captured(new Int16Array(data));
  player.port.onmessage = ({ data }) => on.played(data);
  source.connect(capture);
  player.connect(context.destination);
  await context.resume();
  const [track] = stream.getAudioTracks();
  track.onended = () => on.lost(new Refusal("The microphone is gone", "it was unplugged or taken away"));
  return {
    rate: context.sampleRate,
    play: (octets) => player.port.postMessage(octets, [octets]),
    mute: (muted) => { track.enabled = !muted; },
    async stop() {
      track.onended = null;
      stream.getTracks().forEach((each) => each.stop());
      if (context.state !== "closed") await context.close();
    },
  };
}
