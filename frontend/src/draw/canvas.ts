/** A canvas sized for the screen it is on. */

export interface Surface {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  density: number;
}

/** Room left of step 0, for the outline of its cell. */
export const GUTTER = 5;

/** Sizes a canvas in CSS pixels and clears it; undefined where there is no room to draw. */
export function surfaceOf(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
): Surface | undefined {
  // A hidden tab lives on at height 0.
  if (width < 1 || height < 1) return undefined;
  const density = window.devicePixelRatio || 1;
  const [deviceWidth, deviceHeight] = [Math.round(width * density), Math.round(height * density)];
  if (canvas.width !== deviceWidth) canvas.width = deviceWidth;
  if (canvas.height !== deviceHeight) canvas.height = deviceHeight;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d", { alpha: true });
  if (!context) return undefined;
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height, density };
}
