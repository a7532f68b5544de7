/** The student on a stream: an ONNX file with its past in states, as `kdphys export` writes it. */

import type { StreamingModel } from "../live/waveform";
import { metadata } from "./onnx";
import { Tensor, openSession, type InferenceSession } from "./runtime";

interface Description {
  name: string;
  size: number;
  fs: number;
  box_scale: number;
  lookahead: number;
  states?: [string, number[]][];
}

/** @throws when the file is no streaming model at 30 Hz. */
export async function openStudent(model: Uint8Array): Promise<StreamingModel> {
  const described = metadata(model).get("kdphys");
  if (!described) throw new Error("the model holds no kdphys description; write it with 'kdphys export'");
  const about = JSON.parse(described) as Description;
  if (about.fs !== 30) throw new Error(`the model is for ${about.fs} Hz, 30 Hz expected`);
  if (!about.states?.length) throw new Error("the model has no states: it is not for streams");
  return new Student(await openSession(model), about, about.states);
}

class Student implements StreamingModel {
  readonly name: string;
  readonly size: number;
  readonly boxScale: number;
  readonly lookahead: number;
  private states: Record<string, Tensor> = {};

  constructor(
    private readonly session: InferenceSession,
    about: Description,
    private readonly shapes: [string, number[]][],
  ) {
    this.name = about.name;
    this.size = about.size;
    this.boxScale = about.box_scale;
    this.lookahead = about.lookahead;
    this.reset();
  }

  reset(): void {
    for (const [name, shape] of this.shapes) {
      const size = shape.reduce((product, n) => product * n, 1);
      this.states[name] = new Tensor("float32", new Float32Array(size), shape);
    }
  }

  async run(rgb: Float32Array, present: Float32Array): Promise<Float32Array> {
    const n = present.length;
    const out = await this.session.run({
      rgb: new Tensor("float32", rgb, [1, n, this.size, this.size, 3]),
      present: new Tensor("float32", present, [n]),
      ...this.states,
    });
    for (const [name] of this.shapes) this.states[name] = out[`${name}_out`] as Tensor;
    return out.bvp!.data as Float32Array;
  }
}
