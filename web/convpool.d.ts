// SPDX-License-Identifier: MIT
/**
 * Runs trained networks, from the .npz files that `Network.save()` of the Python package convpool writes.
 *
 * The module finds `convpool.wasm` beside itself, or `convpool-scalar.wasm` where the engine has no 128-bit SIMD; both
 * return the same bits, those of the instruction sets `scalar` and `sse2` elsewhere.
 */

export interface Options {
  /** Kernels for all stages, by the name of an algorithm, such as "direct", or of a kernel; by default each is chosen. */
  kernel?: string;
  /** The network of the first so many stages alone, whose output is an image between them. */
  stages?: number;
}

export interface Stage {
  kind:
    | "layer"
    | "max_pool"
    | "average_pool"
    | "global_max"
    | "global_average"
    | "scale"
    | "activation"
    | "softmax"
    | "log_softmax"
    | "depthwise";
  /** As the file that the network came from has it; "" where it has none. */
  name: string;
  /** The kernel that runs, "" where the stage is no layer. */
  kernel: string;
  /** Channels, height, width. */
  outputShape: [number, number, number];
}

export interface Network {
  /** The shape of an image that comes in: three extents, in the order of `layout`, or one number. */
  readonly inputShape: number[];
  /** Of what goes out. */
  readonly outputShape: number[];
  /** How the image that comes in lies: [channels][height][width] or [height][width][channels]. */
  readonly layout: "CHW" | "HWC";
  /**
   * Applies the network to one image.
   *
   * @param x as many numbers as `inputShape` has.
   * @param out takes the result, as many numbers as `outputShape` has; by default a new array.
   * @returns out.
   * @throws TypeError where either is no Float32Array, RangeError where one has another length.
   */
  run(x: Float32Array, out?: Float32Array): Float32Array;
  /** What the network is made of. */
  stages(): Stage[];
}

/** The file holds what convpool does not know, is damaged, or is no network. */
export class UnsupportedError extends Error {}

/**
 * Makes a network from the bytes of an .npz file, and holds it to the file's own test case. Its memory goes when it is
 * no longer referred to.
 *
 * @throws UnsupportedError, or an Error where the test case fails.
 */
export function load(bytes: ArrayBuffer | ArrayBufferView, options?: Options): Promise<Network>;
