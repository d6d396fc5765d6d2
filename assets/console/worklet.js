// The audio thread's half: the microphone into messages of 20 ms, messages into the loudspeaker.

/** What the loudspeaker keeps in hand before it begins, and after it ran dry. */
const LEAD_MS = 60;
/** With more than this in hand the oldest is left out, down to the lead. */
const MOST_MS = 240;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.length = Math.round(sampleRate / 50);
    this.frame = new Int16Array(this.length);
    this.at = 0;
  }

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    for (const sample of samples) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.frame[this.at++] = Math.round(clipped * 32767);
      if (this.at === this.length) {
        this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
        this.frame = new Int16Array(this.length);
        this.at = 0;
      }
    }
    return true;
  }
}

class Player extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.rate = processorOptions.rate;
    this.step = this.rate / sampleRate;
    // A power of two, so that a place is a mask away.
    this.ring = new Float32Array(1 << 15);
    this.mask = this.ring.length - 1;
    this.written = 0;
    // Where the next sample is taken, between samples of the ring.
    this.read = 0;
    this.running = false;
    this.underruns = 0;
    this.skipped = 0;
    this.low = 0;
    this.high = 0;
    this.told = 0;
    this.port.onmessage = ({ data }) => this.take(new Int16Array(data));
  }

  take(samples) {
    for (const sample of samples) this.ring[this.written++ & this.mask] = sample / 32768;
    const most = (this.rate * MOST_MS) / 1000;
    const queued = this.written - this.read;
    if (queued > most) {
      const left = queued - (this.rate * LEAD_MS) / 1000;
      this.read += left;
      this.skipped += left;
    }
  }

  /** The sample at `read`, by a cubic through its four neighbours (Catmull-Rom). */
  sample() {
    const whole = Math.floor(this.read);
    const part = this.read - whole;
    const at = (offset) => this.ring[(whole + offset) & this.mask];
    const [a, b, c, d] = [whole > 0 ? at(-1) : 0, at(0), at(1), at(2)];
    return b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)));
  }

  process(_inputs, [output]) {
    const samples = output[0];
    for (let n = 0; n < samples.length; n++) {
      const queued = this.written - this.read;
      if (!this.running && queued >= (this.rate * LEAD_MS) / 1000) this.running = true;
      // The cubic looks two samples ahead.
      if (this.running && queued < 3) {
        this.running = false;
        this.underruns += 1;
      }
      let value = 0;
      if (this.running) {
        value = this.sample();
        this.read += this.step;
      }
      samples[n] = value;
      this.low = Math.min(this.low, value);
      this.high = Math.max(this.high, value);
      if (++this.told >= sampleRate / 50) this.tell();
    }
    return true;
  }

  tell() {
    const ms = (count) => (count / this.rate) * 1000;
    this.port.postMessage({
      low: this.low, high: this.high, queuedMs: ms(this.written - this.read),
      underruns: this.underruns, skippedMs: ms(this.skipped),
    });
    this.low = 0;
    this.high = 0;
    this.told = 0;
  }
}

registerProcessor("capture", Capture);
registerProcessor("player", Player);
