/** The numbers: heart rate, confidence, breathing, variability, the table, and what a screen reader is told. */

import type { Update } from "../live/session";
import { MEASURES, type HrvName } from "../vitals/hrv";
import { MIN_RR_S } from "../vitals/respiration";
import type { Estimate } from "../vitals/result";
import { CourseView } from "./course";
import { byId, make, setText } from "./dom";
import { WaveformView } from "./waveform";
import { aboutHeartRate, clock, percent, sentence } from "./words";

interface Tile {
  id: string;
  title: string;
  unit: string;
  minS: number;
  digits: number;
  of: (u: Update) => Estimate;
}

const TILES: Tile[] = [
  { id: "rr", title: "Respiration", unit: "breaths/min", minS: MIN_RR_S, digits: 0, of: (u) => u.rr },
  ...(
    [
      ["rmssd", "RMSSD"],
      ["sdnn", "SDNN"],
      ["pnn50", "pNN50"],
      ["hf", "HF power"],
      ["lf", "LF power"],
      ["lf_hf", "LF/HF"],
    ] as [HrvName, string][]
  ).map(([id, title]) => {
    const [unit, minS] = MEASURES[id];
    const ratio = unit === "ratio";
    return { id, title, unit: ratio ? "" : unit, minS, digits: ratio ? 2 : 0, of: (u: Update) => u.hrv[id] };
  }),
];
/** How often a screen reader hears an unchanged kind of answer, and at most another kind, seconds. */
const SPOKEN_S = 15;
const CHANGED_S = 5;
const ROWS = 10;

export class Readings {
  private readonly hr = byId("hr", HTMLParagraphElement);
  private readonly hrValue = byId("hr-value", HTMLSpanElement);
  private readonly hrStatus = byId("hr-status", HTMLParagraphElement);
  private readonly sqi = byId("sqi", HTMLMeterElement);
  private readonly sqiValue = byId("sqi-value", HTMLSpanElement);
  private readonly advice = byId("advice", HTMLParagraphElement);
  private readonly rows = byId("rows", HTMLTableSectionElement);
  private readonly live = byId("live", HTMLParagraphElement);
  private readonly wave = new WaveformView(byId("wave", HTMLCanvasElement));
  private readonly course = new CourseView(byId("course", HTMLCanvasElement));
  private readonly waveText = byId("wave-text", HTMLParagraphElement);
  private readonly courseText = byId("course-text", HTMLParagraphElement);
  private readonly tiles = new Map<string, { number: HTMLElement; why: HTMLElement }>();
  private spoken = { t: -Infinity, kind: "" };

  constructor() {
    const list = byId("tiles", HTMLDListElement);
    for (const { id, title } of TILES) {
      const tile = make("div");
      const number = make("dd", "", "number");
      const why = make("dd", "", "why");
      tile.append(make("dt", title), number, why);
      tile.id = `tile-${id}`;
      list.append(tile);
      this.tiles.set(id, { number, why });
    }
    this.reset();
  }

  /** Nothing measured yet. */
  reset(): void {
    this.number(null, 0, "");
    setText(this.advice, "");
    setText(this.live, "");
    this.rows.replaceChildren();
    this.waveGone();
    this.course.clear();
    setText(this.courseText, this.course.describe());
    this.spoken = { t: -Infinity, kind: "" };
    for (const { id, unit, minS } of TILES) this.tile(id, unit, "–", `needs ${minS} s of pulse`, null);
  }

  status(text: string): void {
    setText(this.hrStatus, text);
  }

  /** Pictures have ceased: what was measured no longer holds. */
  silence(text: string): void {
    this.number(null, 0, "no pictures");
    setText(this.advice, "");
    this.waveGone();
    this.status(text);
    for (const { id, unit } of TILES) this.tile(id, unit, "–", "no pictures", null);
    setText(this.live, text);
    this.spoken = { t: -Infinity, kind: "" };
  }

  /** Stopped: advice no longer applies, the last numbers stay. */
  stop(): void {
    setText(this.advice, "");
  }

  redraw(): void {
    this.wave.redraw();
    this.course.draw();
  }

  show(update: Update): void {
    const { hr, wave } = update;
    this.number(hr.hrBpm, hr.sqi, hr.reason ?? "");
    this.status(aboutHeartRate(hr, update.collectedS));
    setText(this.advice, update.advice.map(sentence).join(". "));
    this.wave.show(wave);
    this.course.add(hr);
    const seen = wave.valid.reduce((sum, ok) => sum + ok, 0) / wave.fs;
    setText(this.waveText, `${Math.round(seen)} of the last 10 seconds have a pulse wave.`);
    setText(this.courseText, this.course.describe());
    for (const { id, unit, digits, of } of TILES) {
      const e = of(update);
      const value = e.value === null || !Number.isFinite(e.value) ? null : e.value;
      const why = value === null ? (e.reason ?? "cannot be told") : `index of trust ${percent(e.confidence ?? 0)}`;
      this.tile(id, unit, value === null ? "–" : value.toFixed(digits), why, value);
    }
    this.row(update);
    this.say(update);
  }

  private waveGone(): void {
    this.wave.clear();
    setText(this.waveText, "No pulse wave yet.");
  }

  private number(bpm: number | null, sqi: number, reason: string): void {
    setText(this.hrValue, bpm === null ? "–" : String(Math.round(bpm)));
    this.hr.dataset.bpm = bpm === null ? "" : bpm.toFixed(2);
    this.hr.dataset.sqi = sqi.toFixed(4);
    this.hr.dataset.reason = reason;
    this.sqi.value = bpm === null ? 0 : sqi;
    setText(this.sqiValue, bpm === null ? "–" : percent(sqi));
  }

  private tile(id: string, unit: string, text: string, why: string, value: number | null): void {
    const tile = this.tiles.get(id)!;
    tile.number.replaceChildren(text, make("span", unit && ` ${unit}`));
    tile.number.dataset.value = value === null ? "" : String(value);
    setText(tile.why, sentence(why));
  }

  private row({ hr }: Update): void {
    const row = make("tr");
    row.append(
      make("td", clock(hr.t1)),
      make("td", hr.hrBpm === null ? "–" : `${hr.hrBpm.toFixed(0)} bpm`),
      make("td", hr.hrBpm === null ? "–" : percent(hr.sqi)),
      make("td", hr.reason ?? ""),
    );
    this.rows.prepend(row);
    while (this.rows.rows.length > ROWS) this.rows.deleteRow(-1);
  }

  /** Politely, and not each second. */
  private say({ t, hr, advice }: Update): void {
    const kind = hr.reason ?? "heart rate";
    if (t - this.spoken.t < (kind === this.spoken.kind ? SPOKEN_S : CHANGED_S)) return;
    this.spoken = { t, kind };
    const text =
      hr.hrBpm === null
        ? `${aboutHeartRate(hr, 0)} ${advice.map(sentence).join(". ")}`
        : `Heart rate ${Math.round(hr.hrBpm)} beats per minute, confidence ${percent(hr.sqi)}.`;
    setText(this.live, text);
  }
}
