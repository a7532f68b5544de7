/** The pixels of a camera picture, at its own size: no scaling on the way, where a canvas would smooth them. */

import type { Picture } from "./clip/picture";
import type { Shot } from "./protocol";

export class Grabber {
  private context: OffscreenCanvasRenderingContext2D | null = null;

  /** Read a picture out, and close it. */
  take(shot: Shot): Picture {
    if (shot instanceof ImageData) return { data: shot.data, width: shot.width, height: shot.height };
    const [width, height] = "displayWidth" in shot ? [shot.displayWidth, shot.displayHeight] : [shot.width, shot.height];
    try {
      const context = this.canvas(width, height);
      context.drawImage(shot, 0, 0);
      return { data: context.getImageData(0, 0, width, height).data, width, height };
    } finally {
      shot.close();
    }
  }

  private canvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
    const known = this.context;
    if (known && known.canvas.width === width && known.canvas.height === height) return known;
    const made = new OffscreenCanvas(width, height).getContext("2d", {
      alpha: false,
      willReadFrequently: true, // kept in main memory: pixels are read from each picture
      colorSpace: "srgb",
    });
    if (!made) throw new Error("this browser cannot read camera pictures (no 2D canvas in a worker)");
    this.context = made;
    return made;
  }
}
