// Pictures of sound: peaks that move to the left, and two figures over time.

/** A waveform of the last seconds; `add(low, high)` takes one stretch of 20 ms, −1 to 1. */
export class Wave {
  constructor(canvas, level) {
    this.canvas = canvas;
    this.level = level;
    this.peaks = new Float32Array(canvas.width * 2);
    this.at = 0;
    this.loudest = 0;
    this.count = 0;
  }

  add(low, high) {
    this.peaks[this.at] = low;
    this.peaks[this.at + 1] = high;
    this.at = (this.at + 2) % this.peaks.length;
    this.loudest = Math.max(this.loudest, -low, high);
    if (++this.count === 10) this.tell();
  }

  /** In words, five times a second. */
  tell() {
    const db = 20 * Math.log10(this.loudest);
    this.level.value = this.loudest < 0.0003 ? "silent" : `${db.toFixed(0)} dB`;
    this.loudest = 0;
    this.count = 0;
  }

  draw() {
    const { width, height } = this.canvas;
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.strokeStyle = getComputedStyle(this.canvas).color;
    const middle = height / 2;
    pen.beginPath();
    for (let x = 0; x < width; x++) {
      const at = (this.at + x * 2) % this.peaks.length;
      pen.moveTo(x + 0.5, middle - this.peaks[at + 1] * middle - 0.5);
      pen.lineTo(x + 0.5, middle - this.peaks[at] * middle + 0.5);
    }
    pen.stroke();
  }
}

/** Two figures in milliseconds over the last minute, one point a second. */
export class Trend {
  constructor(canvas, top) {
    this.canvas = canvas;
    this.top = top;
    this.points = [];
  }

  add(jitter, queue) {
    this.points.push([jitter, queue]);
    if (this.points.length > 60) this.points.shift();
    this.draw();
  }

  draw() {
    const { width, height } = this.canvas;
    const pen = this.canvas.getContext("2d");
    const most = Math.max(20, ...this.points.flat());
    const top = Math.ceil(most / 20) * 20;
    this.top.textContent = top;
    pen.clearRect(0, 0, width, height);
    const colour = (key) => getComputedStyle(document.querySelector(key)).color;
    const colours = [".jitter-key", ".queue-key"].map(colour);
    colours.forEach((stroke, which) => {
      pen.strokeStyle = stroke;
      pen.lineWidth = 2;
      pen.beginPath();
      this.points.forEach((point, n) => {
        const x = width - ((this.points.length - 1 - n) * width) / 59;
        pen.lineTo(x, height - 2 - (point[which] / top) * (height - 4));
      });
      pen.stroke();
    });
  }
}
