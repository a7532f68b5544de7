/** The camera: opening it, listing those there are, and its frames with their times. */

import type { Shot } from "./protocol";

/** Open a camera; without `deviceId`, the one that faces the person. */
export async function openCamera(deviceId: string): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({
    audio: false,
    video: {
      width: { ideal: 640 },
      height: { ideal: 480 },
      frameRate: { ideal: 30 },
      ...(deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" }),
    },
  });
}

export async function listCameras(): Promise<MediaDeviceInfo[]> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput");
}

/** Takes each new picture of a playing video. */
export class Pump {
  /** Pictures that the camera gave but the page did not get to see. */
  missed = 0;
  private running = true;
  private presented = 0;
  private lastTime = -1;
  private clock: "capture" | "media" | "page" | null = null;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly take: (t: number) => void,
  ) {
    this.next();
  }

  stop(): void {
    this.running = false;
  }

  /** Pictures until the next one are not missed: the page is, or was, in the background. */
  forget(): void {
    this.presented = 0;
  }

  private next(): void {
    if (!this.running) return;
    if ("requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback(this.frame);
    else requestAnimationFrame(this.poll);
  }

  private readonly frame = (now: number, meta: VideoFrameCallbackMetadata): void => {
    if (!this.running) return;
    if (this.presented) this.missed += Math.max(meta.presentedFrames - this.presented - 1, 0);
    this.presented = meta.presentedFrames;
    // When the camera took the picture is best; one clock for the whole session.
    this.clock ??= meta.captureTime !== undefined ? "capture" : meta.mediaTime > 0 ? "media" : "page";
    const times = { capture: (meta.captureTime ?? now) / 1000, media: meta.mediaTime, page: now / 1000 };
    this.take(times[this.clock]);
    this.next();
  };

  /** For browsers that do not tell about frames. */
  private readonly poll = (): void => {
    const { video } = this;
    if (video.readyState >= 2 && video.currentTime !== this.lastTime) {
      this.lastTime = video.currentTime;
      this.take(video.currentTime);
    }
    this.next();
  };
}

let canvas: CanvasRenderingContext2D | null = null;

/** The picture that a video shows now, at its own size. */
export async function shoot(video: HTMLVideoElement, t: number): Promise<Shot> {
  if (typeof OffscreenCanvas !== "undefined") {
    if (typeof VideoFrame !== "undefined") {
      try {
        const frame = new VideoFrame(video, { timestamp: Math.round(t * 1e6) });
        const turned = "rotation" in frame && frame.rotation !== 0;
        if (!turned && frame.displayWidth === video.videoWidth && frame.displayHeight === video.videoHeight) return frame;
        frame.close(); // a phone held upright: a bitmap is as the video is shown
      } catch {
        // Not from a video element here: a bitmap does as well.
      }
    }
    return createImageBitmap(video);
  }
  const [width, height] = [video.videoWidth, video.videoHeight];
  canvas ??= document.createElement("canvas").getContext("2d", { alpha: false, willReadFrequently: true });
  if (!canvas) throw new Error("this browser cannot read camera pictures (no 2D canvas)");
  if (canvas.canvas.width !== width || canvas.canvas.height !== height)
    [canvas.canvas.width, canvas.canvas.height] = [width, height];
  canvas.drawImage(video, 0, 0, width, height);
  return canvas.getImageData(0, 0, width, height);
}
