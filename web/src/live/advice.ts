/** What the person in front of the camera can do about it; the words of kdphys/streaming/advice.py. */

import type { Box } from "../clip/picture";
import { MIN_FPS, type Reason } from "../vitals/quality";

/** A face narrower than this has too few pixels. */
const MIN_FACE_PX = 48;

const FOR_REASON: Record<Reason, string> = {
  "no face": "no face: look into the camera",
  "too short": "keep still: measuring",
  "fs too low": "the camera is too slow: 8 frames a second are needed",
  "too dark": "more light",
  "over-exposed": "less light on the face",
  "repeating picture": "the picture repeats itself: show a living face",
  "flickering light": "the light flickers: another light, or switch a screen off",
  "too much motion": "hold still",
  "unsteady picture": "the picture gets sharp and soft, or stands still, in time: fix the camera's focus",
  "no periodic component": "hold still, with even light on the face",
};

/** Short sentences, most important first; none when all is well. `fps`: frames a second that come. */
export function advise(reason: Reason | null, box: Box | null, fps: number): string[] {
  const out = new Set<string>();
  if (!box) out.add(FOR_REASON["no face"]);
  if (reason === "too short" && fps > 0 && fps < MIN_FPS) out.add(FOR_REASON["fs too low"]); // too few to begin with
  if (reason) out.add(FOR_REASON[reason]);
  if (box && box[2] - box[0] < MIN_FACE_PX) out.add("come closer");
  return [...out];
}
