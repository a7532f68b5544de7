/** Heart rate over time: a dot for each answer, the fainter the less sure; gaps stay gaps. */

import type { HrWindow } from "../vitals/result";
import { colours, prepare } from "./chart";
import { clock } from "./words";

const SPAN_S = 300;
const LEFT = 34;
const BOTTOM = 20;

export class CourseView {
  private windows: HrWindow[] = [];

  constructor(private readonly canvas: HTMLCanvasElement) {}

  add(window: HrWindow): void {
    this.windows.push(window);
    while (this.windows.length && this.windows[0]!.t1 < window.t1 - SPAN_S) this.windows.shift();
    this.draw();
  }

  clear(): void {
    this.windows = [];
    this.draw();
  }

  /** In words, for those who do not see it. */
  describe(): string {
    const rates = this.windows.flatMap((w) => (w.hrBpm === null ? [] : [w.hrBpm]));
    if (!rates.length) return "No heart rate yet.";
    const [low, high] = [Math.min(...rates), Math.max(...rates)].map(Math.round);
    return `${rates.length} readings of ${this.windows.length}, from ${low} to ${high} beats per minute.`;
  }

  draw(): void {
    const area = prepare(this.canvas);
    if (!area) return;
    const { context, width, height } = area;
    const palette = colours();
    const rates = this.windows.flatMap((w) => (w.hrBpm === null ? [] : [w.hrBpm]));
    const low = Math.floor((Math.min(60, ...rates) - 5) / 10) * 10;
    const high = Math.ceil((Math.max(90, ...rates) + 5) / 10) * 10;
    const end = Math.max(this.windows.at(-1)?.t1 ?? 0, 60);
    const start = Math.max(end - SPAN_S, 0);
    const x = (t: number): number => LEFT + ((t - start) / (end - start)) * (width - LEFT - 8);
    const y = (bpm: number): number => 8 + ((high - bpm) / (high - low)) * (height - BOTTOM - 8);

    context.fillStyle = palette.muted;
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const step = high - low > 60 ? 40 : 20;
    for (let bpm = Math.ceil(low / step) * step; bpm <= high; bpm += step) {
      context.beginPath();
      context.moveTo(LEFT, y(bpm));
      context.lineTo(width, y(bpm));
      context.stroke();
      context.fillText(String(bpm), LEFT - 6, y(bpm));
    }
    context.textBaseline = "bottom";
    const every = end - start > 150 ? 60 : end - start > 70 ? 30 : 20;
    for (let t = Math.ceil(start / every) * every; t <= end; t += every) {
      context.textAlign = x(t) > width - 24 ? "right" : "center";
      context.fillText(clock(t), Math.min(x(t), width), height);
    }

    context.fillStyle = context.strokeStyle = palette.accent;
    context.lineWidth = 1.5;
    context.globalAlpha = 0.45;
    context.beginPath();
    let pen = false;
    for (const w of this.windows) {
      if (w.hrBpm === null) {
        pen = false;
        continue;
      }
      if (pen) context.lineTo(x(w.t1), y(w.hrBpm));
      else context.moveTo(x(w.t1), y(w.hrBpm));
      pen = true;
    }
    context.stroke();
    for (const w of this.windows) {
      if (w.hrBpm === null) continue;
      context.globalAlpha = 0.35 + 0.65 * Math.min(Math.max((w.sqi - 0.7) / 0.3, 0), 1);
      context.beginPath();
      context.arc(x(w.t1), y(w.hrBpm), 3, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
  }
}
