/** Small faces in the pictures of a video: where they were, and elsewhere in turn; as kdphys/face/find.py. */

import type { Box, Picture } from "../clip/picture";
import { clamp, roundHalfEven } from "../dsp/stats";
import { iou, squares, type Face, type Square } from "./detect";

/** Squares smaller than this, in pixels, are not looked at: the network would see them enlarged. */
const MIN_SIDE = 128;
/** Squares that are looked at in each picture after the first. */
const IN_TURN = 4;
/** A small face is looked for where it was in so many pictures after the last that showed it. */
const PATIENCE = 6;

/** What finds faces in one picture. */
export interface Detector {
  detect(picture: Picture): Promise<Face[]>;
  look(picture: Picture, where: Square[]): Promise<Face[]>;
}

/** Finds faces in picture after picture of a video, those too small for one look at all of it as well. */
export class FaceFinder {
  private known: { box: Box; since: number }[] = []; // small faces, and pictures since each was seen
  private turn: number | null = null; // the square that is next

  constructor(private readonly detector: Detector) {}

  /** All faces in the next picture. */
  async detect(picture: Picture): Promise<Face[]> {
    const found = await this.detector.detect(picture);
    const short = Math.min(picture.width, picture.height);
    if (short < 2 * MIN_SIDE || found.length) {
      this.known = [];
      return found;
    }
    const where = [...this.known.map(({ box }) => around(box, picture)), ...this.next(picture)];
    const small = (await this.detector.look(picture, where)).filter(({ box }) => box[2] - box[0] < 0.25 * short);
    const lost = this.known
      .filter(({ box }) => !small.some((face) => iou(box, face.box) > 0.1))
      .map(({ box, since }) => ({ box, since: since + 1 }));
    this.known = [...small.map(({ box }) => ({ box, since: 0 })), ...lost.filter(({ since }) => since <= PATIENCE)];
    return small;
  }

  /** The squares whose turn it is. */
  private next({ width, height }: Picture): Square[] {
    const everywhere = squares(width, height, Math.floor(Math.min(width, height) / 2));
    if (this.turn === null) {
      this.turn = 0;
      return everywhere;
    }
    if (this.known.some(({ since }) => since === 0)) return []; // somebody is there
    const turn = this.turn;
    const count = Math.min(IN_TURN, everywhere.length);
    this.turn = (turn + count) % everywhere.length;
    return Array.from({ length: count }, (_, k) => everywhere[(turn + k) % everywhere.length]!);
  }
}

/** The square around a face in which the network sees it best. */
function around(box: Box, { width, height }: Picture): Square {
  const side = Math.min(roundHalfEven(4 * (box[2] - box[0])), width, height);
  const [x, y] = [(box[0] + box[2]) / 2 - side / 2, (box[1] + box[3]) / 2 - side / 2];
  return [Math.trunc(clamp(x, 0, width - side)), Math.trunc(clamp(y, 0, height - side)), side];
}
