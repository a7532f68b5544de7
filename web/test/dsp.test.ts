import { describe, expect, it } from "vitest";
import { chrom, green, pos, type Classical } from "../src/classical/methods";
import { bandpass } from "../src/dsp/filter";
import { resampleByTime } from "../src/dsp/resample";
import { heartFrequency, heartSpectrum, isSlower, peakFrequency, pulseFrequency, spectrum } from "../src/dsp/spectrum";
import { detrend } from "../src/dsp/trend";
import { doubles, expectClose, floats, vectors } from "./vectors";

const v = vectors("dsp");
const x = doubles(v.x);

describe("signals match Python's", () => {
  it.each(Object.keys(v.detrend))("detrend, λ = %s", (lam) => {
    expectClose(detrend(x, Number(lam)), floats(v.detrend[lam]));
  });

  it.each(v.bandpass as { low: number; high: number; order: number; y: never }[])(
    "band-pass $low–$high Hz, order $order",
    ({ low, high, order, y }) => {
      expectClose(bandpass(x, v.fs, low, high, order), floats(y));
    },
  );

  it("refuses a band that does not fit", () => {
    expect(() => bandpass(x, 6, 0.6, 4)).toThrow("does not fit");
    expect(() => bandpass(x.subarray(0, 15), 30)).toThrow("more than 15 samples");
  });

  it("spectrum and its peaks", () => {
    const found = spectrum(x, v.fs, 0.25 / 60);
    expect(found.step).toBeCloseTo(v.spectrum.step, 12);
    const want = floats(v.spectrum.power);
    const got = v.spectrum.bins.map((k: number) => found.power[k]! / want[0]!);
    expectClose(got, want.map((p) => p / want[0]!));
    for (const { low, high, f } of v.peak) expect(peakFrequency(found, low, high)).toBeCloseTo(f, 5);
  });

  it("a slow heart is not told at its second harmonic, though hardly anything is left at its own rate", () => {
    for (const { wave, f } of v.pulse) expect(pulseFrequency(doubles(wave), v.fs)).toBeCloseTo(f, 5);
    for (const { wave, f } of v.heart) expect(heartFrequency(heartSpectrum(doubles(wave), v.fs))).toBeCloseTo(f, 5);
  });

  it("a heart below 40 is not told at its double", () => {
    for (const { wave, f, slower } of v.slower) expect(isSlower(doubles(wave), v.fs, f)).toBe(slower);
    expect(new Set(v.slower.map((each: { slower: boolean }) => each.slower)).size).toBe(2);
  });

  it.each(["slow", "fast"])("resampling onto a %s clock, with gaps", (name) => {
    const r = v.resample;
    const rows = doubles(r.rows);
    for (const k of r.missing) rows.fill(NaN, 2 * k, 2 * k + 2);
    const { fs, t0, values, valid } = r[name];
    const out = resampleByTime(doubles(r.times), rows, 2, fs, 0.5, t0 ?? undefined);
    expect(Array.from(out.valid)).toEqual(valid);
    expectClose(out.values, floats(values));
  });
});

describe("classical methods match Python's", () => {
  const c = vectors("classical");
  it.each(Object.entries({ pos, chrom, green }) as [string, Classical][])("%s", (name, method) => {
    const want = floats(c[name]);
    const scale = Math.max(...want.map(Math.abs));
    const got = method(doubles(c.rgb), c.fs);
    expectClose(got.map((g) => g / scale), want.map((w) => w / scale));
  });
});
