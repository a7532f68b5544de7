/** The frame around the face, over the camera's picture. */

import type { Box } from "../clip/picture";

export class Overlay {
  constructor(private readonly canvas: HTMLCanvasElement) {}

  /** @param box in pixels of a picture of `width` × `height`; null: no face. */
  draw(box: Box | null, width: number, height: number): void {
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.clearRect(0, 0, width, height);
    if (!box) return;
    const [x0, y0, x1, y1] = box;
    context.strokeStyle = "rgb(255 255 255 / 85%)";
    context.lineWidth = Math.max(width / 240, 2);
    context.beginPath();
    context.roundRect(x0, y0, x1 - x0, y1 - y0, (x1 - x0) / 8);
    context.stroke();
  }

  clear(): void {
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }
}
