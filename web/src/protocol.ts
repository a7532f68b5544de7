/** What the page and its worker say to each other. */

import type { Box } from "./clip/picture";
import type { Update } from "./live/session";

export type MethodName = "student" | "pos";
export type ExportKind = "json" | "csv" | "wave";

/** A picture on its way to the worker. */
export type Shot = VideoFrame | ImageBitmap | ImageData;

export type ToWorker =
  | { type: "load"; base: string }
  | { type: "start"; session: number; method: MethodName }
  | { type: "frame"; session: number; shot: Shot; t: number }
  | { type: "export"; kind: ExportKind; version: string };

export type FromWorker =
  | { type: "ready"; methods: MethodName[]; notes: string[] }
  | { type: "done"; session: number; box: Box | null; width: number; height: number; processed: number; ms: number }
  | { type: "update"; session: number; update: Update }
  | { type: "exported"; kind: ExportKind; text: string }
  | { type: "failed"; session: number; doing: ToWorker["type"]; message: string };
