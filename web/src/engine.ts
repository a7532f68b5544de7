/** The page's side of the worker: frames go there as long as it keeps up, what it says comes back. */

import { shoot } from "./camera";
import type { ExportKind, FromWorker, MethodName, ToWorker } from "./protocol";

/** Pictures on their way to the worker at one time; more are dropped and counted. */
const IN_FLIGHT = 3;

export class Engine {
  dropped = 0;
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "kdphys" });
  private session = 0;
  private flying = 0;

  constructor(hear: (message: FromWorker) => void) {
    this.worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("session" in data && data.session !== this.session) return; // of an earlier session
      if (data.type === "done") this.flying--;
      hear(data);
    });
    this.worker.addEventListener("error", (event) => {
      hear({ type: "failed", session: this.session, doing: "load", message: event.message || "the worker could not be started" });
    });
    this.say({ type: "load", base: new URL("./", document.baseURI).href });
  }

  start(method: MethodName): void {
    this.dropped = this.flying = 0;
    this.say({ type: "start", session: ++this.session, method });
  }

  /** Take the picture that the video shows now, unless the worker is busy. */
  async take(video: HTMLVideoElement, t: number): Promise<void> {
    if (this.flying >= IN_FLIGHT) {
      this.dropped++;
      return;
    }
    this.flying++;
    const { session } = this;
    try {
      const shot = await shoot(video, t);
      this.say({ type: "frame", session, shot, t }, [shot instanceof ImageData ? shot.data.buffer : shot]);
    } catch (error) {
      if (session === this.session) this.flying--;
      throw error;
    }
  }

  export(kind: ExportKind, version: string): void {
    this.say({ type: "export", kind, version });
  }

  private say(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }
}
