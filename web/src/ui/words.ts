/** Plain words for what the measurement says. */

import type { HrWindow } from "../vitals/result";
import type { Reason } from "../vitals/quality";

const WHY: Record<Reason, string> = {
  "no face": "No heart rate: there is no face in the picture.",
  "too short": "Collecting: the first heart rate needs 6 seconds of a still face.",
  "fs too low": "No heart rate: the camera gives fewer than 8 frames a second.",
  "too dark": "No heart rate: your face is too dark.",
  "over-exposed": "No heart rate: your face is over-exposed.",
  "repeating picture": "No heart rate: the picture repeats itself, so this is not a living face.",
  "flickering light": "No heart rate: what swings here is the light.",
  "too much motion": "No heart rate: too much movement.",
  "unsteady picture": "No heart rate: the picture gets sharp and soft, or stands still, in time.",
  "no periodic component": "No heart rate: no reliable pulse can be seen.",
};

/** One sentence about the heart rate of a window. */
export function aboutHeartRate(hr: HrWindow, collectedS: number): string {
  if (hr.hrBpm !== null) return `From the last ${Math.round(hr.t1 - hr.t0)} seconds.`;
  if (hr.reason === "too short" && collectedS > 0) return `${WHY["too short"]} ${collectedS.toFixed(0)} s so far.`;
  return WHY[hr.reason ?? "no periodic component"];
}

export const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** Seconds since the start as m:ss. */
export function clock(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What went wrong with the camera, and what to do. */
export function aboutCamera(error: unknown): string {
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError")
    return "Camera access was refused. Allow the camera for this page (the camera symbol in the address bar), then press Start again.";
  if (name === "NotFoundError") return "No camera was found. Connect one, then press Start again.";
  if (name === "OverconstrainedError") return "The chosen camera is not there. Choose another one, then press Start again.";
  if (name === "NotReadableError" || name === "AbortError")
    return "The camera cannot be read: another program may be using it. Close that program, then press Start again.";
  return `The camera could not be opened: ${error instanceof Error ? error.message : String(error)}`;
}

/** Why there is nothing new. */
export const SILENT = "No heart rate: no pictures come from the camera.";
export const PAUSED = "Paused: browsers give no pictures to a page in the background.";

/** The page was opened by an address that gets no camera. */
export const insecure = (port: string): string =>
  `Browsers give the camera only to pages on localhost or https. Open this page as http://localhost${port && `:${port}`}, or put the server behind https.`;
