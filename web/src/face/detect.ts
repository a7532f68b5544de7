/** Faces in one picture: BlazeFace short range (arXiv 1907.05047), decoded as in kdphys/face/detect.py. */

import { resize, type Box, type Picture } from "../clip/picture";
import { clamp, roundHalfEven } from "../dsp/stats";

const SIZE = 128;
const OVERLAP = 0.3;
const MIN_SCORE = 0.6;

/** A face: its box in pixels of the picture, and the detector's score in [0, 1]. */
export interface Face {
  box: Box;
  score: number;
}

/** The network: RGB float32 (1, 128, 128, 3) in −1…1 → regressors (896 × 16) and logits (896). */
export type Network = (values: Float32Array) => Promise<{ regressors: Float32Array; logits: Float32Array }>;

/** Centres of the 896 anchors in [0, 1]: 16 × 16 cells of two, then 8 × 8 cells of six. */
const ANCHORS: [number, number][] = [];
for (const [cells, repeat] of [
  [16, 2],
  [8, 6],
] as const)
  for (let y = 0; y < cells; y++)
    for (let x = 0; x < cells; x++)
      for (let k = 0; k < repeat; k++) ANCHORS.push([(x + 0.5) / cells, (y + 0.5) / cells]);

/** Intersection over union. */
export function iou(a: Box, b: Box): number {
  const width = Math.max(Math.min(a[2], b[2]) - Math.max(a[0], b[0]), 0);
  const height = Math.max(Math.min(a[3], b[3]) - Math.max(a[1], b[1]), 0);
  const inner = width * height;
  const area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
  return inner / Math.max(area - inner, 1e-9);
}

/** BlazeFace's blending: overlapping candidates are averaged by score, which steadies the box. Best first. */
export function merge(faces: Face[]): Face[] {
  let rest = [...faces].sort((a, b) => b.score - a.score);
  const kept: Face[] = [];
  while (rest.length) {
    const best = rest[0]!;
    const same = rest.filter((face, k) => k === 0 || iou(best.box, face.box) > OVERLAP);
    const total = same.reduce((sum, face) => sum + face.score, 0);
    const box = [0, 1, 2, 3].map((c) => same.reduce((sum, face) => sum + face.score * face.box[c]!, 0) / total) as Box;
    kept.push({ box, score: best.score });
    rest = rest.filter((face) => !same.includes(face));
  }
  return kept;
}

/** Left, top, side: whole pixels. */
export type Square = [number, number, number];

/** Squares that cover a picture, neighbours half over each other. */
export function squares(width: number, height: number, side: number): Square[] {
  const [xs, ys] = [width, height].map((length) => {
    const count = Math.ceil((length - side) / (0.5 * side)) + 1;
    return Array.from({ length: count }, (_, k) => (count > 1 ? Math.trunc(((length - side) * k) / (count - 1)) : 0));
  }) as [number[], number[]];
  return ys.flatMap((y) => xs.map((x): Square => [x, y, side]));
}

export class FaceDetector {
  constructor(private readonly network: Network) {}

  /** All faces, best first; small ones in a wide picture are looked for when there is no large one. */
  async detect(picture: Picture): Promise<Face[]> {
    const { width, height } = picture;
    const [short, long] = [Math.min(width, height), Math.max(width, height)];
    if (short < 2) return [];
    const found = await this.square(picture, 0, 0, long);
    return found.length || long <= 1.2 * short ? found : merge(await this.look(picture, squares(width, height, short)));
  }

  /** The faces in some squares of a picture. */
  async look(picture: Picture, where: Square[]): Promise<Face[]> {
    const parts: Face[] = [];
    for (const [x, y, side] of where) parts.push(...(await this.square(picture, x, y, side)));
    return merge(parts);
  }

  /** Run the network on the square at (x, y), black where it leaves the picture. */
  private async square(picture: Picture, x: number, y: number, side: number): Promise<Face[]> {
    const { values, left, top, across, down } = letterbox(picture, x, y, side);
    const { regressors, logits } = await this.network(values);
    const found: Face[] = [];
    ANCHORS.forEach(([ax, ay], k) => {
      const score = 1 / (1 + Math.exp(-clamp(logits[k]!, -80, 80)));
      if (score < MIN_SCORE) return;
      const [cx, cy, w, h] = [0, 1, 2, 3].map((c) => regressors[16 * k + c]! / SIZE) as Box;
      const box = [ax + cx - w / 2, ay + cy - h / 2, ax + cx + w / 2, ay + cy + h / 2].map((v) => v * SIZE) as Box;
      const [bx0, by0, bx1, by1] = box;
      found.push({
        box: [(bx0 - left) / across + x, (by0 - top) / down + y, (bx1 - left) / across + x, (by1 - top) / down + y],
        score,
      });
    });
    return merge(found);
  }
}

/** The network's input for the square at (x, y), and where and how large the picture lies in it. */
export function letterbox(
  picture: Picture,
  x: number,
  y: number,
  side: number,
): { values: Float32Array; left: number; top: number; across: number; down: number } {
  const [partWidth, partHeight] = [Math.min(side, picture.width - x), Math.min(side, picture.height - y)];
  const w = Math.max(roundHalfEven((partWidth * SIZE) / side), 1);
  const h = Math.max(roundHalfEven((partHeight * SIZE) / side), 1);
  const [left, top] = [Math.floor((SIZE - w) / 2), Math.floor((SIZE - h) / 2)];
  // For shrinking by a lot, every pixel need not be read: the network sees 128 × 128.
  const step = Math.max(Math.floor(side / (4 * SIZE)), 1);
  const small = resize(picture, [x, y, x + partWidth, y + partHeight], w, h, step);
  const values = new Float32Array(SIZE * SIZE * 3).fill(-1);
  for (let row = 0; row < h; row++)
    for (let k = 0; k < 3 * w; k++)
      values[((top + row) * SIZE + left) * 3 + k] = roundHalfEven(small[row * w * 3 + k]!) / 127.5 - 1;
  return { values, left, top, across: w / partWidth, down: h / partHeight };
}
