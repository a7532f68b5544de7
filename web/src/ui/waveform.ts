/** The pulse wave of the last seconds; it moves on smoothly between updates unless motion is unwanted. */

import type { Update } from "../live/session";
import { colours, prepare } from "./chart";
import { reducedMotion } from "./dom";

/** What is shown, one second less than what each update holds: room to move on. */
const SPAN_S = 9;
const FRAME_MS = 45;

export class WaveformView {
  private wave: Update["wave"] | null = null;
  private since = 0;
  private drawn = 0;
  private running = false;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  show(wave: Update["wave"]): void {
    this.wave = wave;
    this.since = performance.now();
    if (reducedMotion()) this.draw(1);
    else if (!this.running) {
      this.running = true;
      requestAnimationFrame(this.tick);
    }
  }

  clear(): void {
    this.wave = null;
    this.running = false;
    this.draw(1);
  }

  redraw(): void {
    this.draw(1);
  }

  private readonly tick = (now: number): void => {
    if (!this.running) return;
    const passed = (now - this.since) / 1000;
    if (now - this.drawn >= FRAME_MS) {
      this.drawn = now;
      this.draw(Math.min(Math.max(passed, 0), 1));
    }
    if (passed < 1.2) requestAnimationFrame(this.tick);
    else this.running = false;
  };

  /** @param share of the newest second that is shown. */
  private draw(share: number): void {
    const area = prepare(this.canvas);
    if (!area) return;
    const { context, width, height } = area;
    const palette = colours();
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    context.beginPath();
    for (let s = 0; s <= SPAN_S; s++) {
      const x = (s / SPAN_S) * width;
      context.moveTo(x, height - 6);
      context.lineTo(x, height);
    }
    context.stroke();
    if (!this.wave?.bvp.length) return;
    const { bvp, valid, fs } = this.wave;
    const end = bvp.length - 1 - (1 - share) * fs;
    const first = Math.max(Math.floor(end - SPAN_S * fs), 0);
    let most = 1.5;
    for (let k = first; k < bvp.length; k++) most = Math.max(most, Math.abs(bvp[k]!));
    context.strokeStyle = palette.accent;
    context.lineWidth = 2.2;
    context.beginPath();
    let pen = false;
    for (let k = first; k <= Math.min(Math.ceil(end), bvp.length - 1); k++) {
      if (!valid[k]) {
        pen = false;
        continue;
      }
      const x = width - ((end - k) / (SPAN_S * fs)) * width;
      const y = height / 2 - (bvp[k]! / most) * (height / 2 - 8);
      if (pen) context.lineTo(x, y);
      else context.moveTo(x, y);
      pen = true;
    }
    context.stroke();
  }
}
