// SPDX-License-Identifier: MIT
// Runs trained networks: what it exports is documented in convpool.d.ts. The library itself is convpool.wasm.
const NAMES = { // by their numbers; of kinds 9 to 15 are reserved
  kind: "layer max_pool average_pool global_max global_average scale activation softmax log_softmax        depthwise",
  pool: "max none ceil",
  activation: "relu none relu6 leaky_relu prelu sigmoid tanh elu",
  layout: "CHW HWC",
};
const product = (shape) => shape.reduce((a, b) => a * b, 1);

export class UnsupportedError extends Error {
  name = "UnsupportedError";
}

function need(condition, text) {
  if (!condition) throw new UnsupportedError(text);
}

function index(what, name) {
  const at = NAMES[what].split(" ").indexOf(name);
  need(at >= 0, `${JSON.stringify(name)} is no ${what}`);
  return at;
}

/* ---- The module ---- */

// A function with one instruction of SIMD.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

async function compile() {
  const name = WebAssembly.validate(new Uint8Array(SIMD)) ? "convpool.wasm" : "convpool-scalar.wasm";
  const url = new URL(name, import.meta.url);
  if (url.protocol === "file:") { // in Node, whose fetch() reads no files
    const { readFile } = await import(/* @vite-ignore */ "node:fs/promises");
    return WebAssembly.compile(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return WebAssembly.compile(await response.arrayBuffer());
}

let compiled; // once for all networks

/* ---- The file: numpy.savez() stores .npy files in a zip file, uncompressed ---- */

// Of an .npy file the shape and the numbers, or the text.
function readArray(file) {
  const start = 10 + file[8] + 256 * file[9];
  const header = String.fromCharCode(...file.subarray(10, start));
  const [, type, extents] = /'descr': '(.*?)', 'fortran_order': False, 'shape': \((.*?)\)/.exec(header);
  const data = file.slice(start).buffer;
  if (type.startsWith("<U")) return Array.from(new Uint32Array(data), (code) => String.fromCodePoint(code)).join("");
  const shape = (extents.match(/\d+/g) ?? []).map(Number), numbers = new Float32Array(data);
  need(type === "<f4" && product(shape) === numbers.length, `an array of the type ${type} and the shape (${extents})`);
  return { shape, numbers };
}

function readArrays(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength), arrays = {};
  const u16 = (at) => view.getUint16(at, true), u32 = (at) => view.getUint32(at, true);
  const part = (at, size) => file.subarray(at, at + size);
  let end = file.length - 22; // where the directory ends
  while (u32(end) !== 0x06054b50) end--;
  for (let at = u32(end + 16), left = u16(end + 10); left > 0; left--) {
    need(u16(at + 10) === 0, "the file is compressed: Network.save() writes it as it is");
    const name = String.fromCharCode(...part(at + 46, u16(at + 28)));
    const local = u32(at + 42), start = local + 30 + u16(local + 26) + u16(local + 28), size = u32(at + 20);
    need(start + size <= at, "the file is cut off");
    arrays[name.replace(".npy", "")] = readArray(part(start, size));
    at += 46 + u16(at + 28) + u16(at + 30) + u16(at + 32);
  }
  return arrays;
}

/* ---- Networks: each in an instance of the module, whose memory goes with it ---- */

class Network {
  #wasm;
  #input;
  #output;
  #stages;

  constructor(wasm, arrays, { kernel, stages: count }) {
    need(arrays.network, "the file holds no network of convpool's");
    const plan = JSON.parse(arrays.network), stages = plan.stages.slice(0, count), last = stages.length - 1;
    need(last >= 0, "no stage is left");
    need(plan.format === 1, `the file has the format ${plan.format}, of another version: 1 is known`);
    this.#wasm = wasm;
    const words = stages.map((stage, i) => this.#words(stage, i, arrays, kernel ?? stage.kernel));
    words[0].splice(1, 3, ...plan.shape);
    words[0][18] = index("layout", plan.outside[1]);
    words[last][19] = index("layout", plan.result[1]);
    const refusal = wasm.create(this.#put(new Uint32Array(words.flat())), stages.length);
    need(!refusal, `the network: ${this.#text(refusal)}`);
    // From here on memory does not grow, so views of it stay.
    this.#input = this.#view(Float32Array, wasm.input(), wasm.inputs());
    this.#output = this.#view(Float32Array, wasm.output(), wasm.outputs());
    const shape = wasm.output();
    this.#stages = stages.map(({ kind, name }, i) =>
      ({ kind, name, kernel: this.#text(wasm.stage(i, shape)), outputShape: [...this.#view(Uint32Array, shape, 3)] }));
    const [c, h, w] = this.#stages[last].outputShape, whole = stages.length === plan.stages.length;
    [this.inputShape, this.layout] = plan.outside;
    this.outputShape = whole ? plan.result[0] : plan.result[1] === "HWC" ? [h, w, c] : [c, h, w];
    need(product(this.inputShape) === wasm.inputs() && product(this.outputShape) === wasm.outputs(), "shapes that contradict");
    if (whole) this.#test(plan.seed, arrays.output.numbers);
  }

  run(x, out = new Float32Array(this.#output.length)) {
    this.#check("x", x, this.inputShape);
    this.#check("out", out, this.outputShape);
    this.#input.set(x);
    this.#wasm.run();
    out.set(this.#output);
    return out;
  }

  stages() {
    return structuredClone(this.#stages);
  }

  #check(name, array, shape) {
    if (!(array instanceof Float32Array)) throw new TypeError(`${name} must be a Float32Array`);
    if (array.length !== product(shape))
      throw new RangeError(`${name} must hold ${product(shape)} numbers, [${shape.join(", ")}], not ${array.length}`);
  }

  #view(Type, at, count) {
    return new Type(this.#wasm.memory.buffer, at, count);
  }

  #put(array) {
    const at = this.#wasm.allocate(array.byteLength);
    this.#view(array.constructor, at, array.length).set(array);
    return at;
  }

  #text(at) {
    const bytes = this.#view(Uint8Array, at);
    return String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)));
  }

  // A stage as the words of a convpool_stage, whose order module.c holds; what is not there becomes 0.
  #words({ kind, window, strides, pads, pool, activation, parameter }, i, arrays, kernel) {
    const all = ["slopes", "weights", "bias"].map((field) => arrays[`${i}.${field}`]);
    const shape = (all[1] ?? all[0])?.shape ?? [0], byNumber = shape.length === 3;
    const count = (shape) => (byNumber ? product(shape) : shape[0]), channels = count(shape);
    const layer = kind === "layer", filters = [channels, layer ? shape[1] : 1, ...window], convolves = layer || kind === "depthwise";
    need(all.every((array) => !array || count(array.shape) === channels) && (!convolves || `${filters}` === `${shape}`), `stage ${i}: weights of a wrong shape`);
    const places = all.map((array) => array && this.#put(array.numbers));
    const name = kernel && this.#put(new TextEncoder().encode(`${kernel}\0`));
    const [bits] = new Uint32Array(Float32Array.of(parameter).buffer);
    return [index("kind", kind), layer ? shape[1] : channels, +byNumber, +byNumber, channels, 0, index("pool", pool), index("activation", activation), name,
      ...window, ...strides, ...pads, 0, 1, 1, bits, ...places];
  }

  // The file's own test case.
  #test(seed, expected) {
    this.#wasm.test(seed);
    const got = this.#output, largest = expected.reduce((a, b) => Math.max(a, Number.isFinite(b) ? Math.abs(b) : 0), 1e-30);
    const same = expected.every((y, i) => Object.is(y, got[i]) || Math.abs(y - got[i]) <= 1e-4 * largest);
    if (!same) throw new Error("the file's test case fails: the file is damaged, or this build is wrong");
  }
}

export async function load(bytes, options = {}) {
  const isView = ArrayBuffer.isView(bytes);
  if (!(isView || bytes instanceof ArrayBuffer)) throw new TypeError("bytes must be an ArrayBuffer or a view of one");
  const file = isView ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
  compiled ??= compile();
  compiled.catch(() => (compiled = undefined));
  const { exports } = await WebAssembly.instantiate(await compiled);
  try {
    return new Network(exports, readArrays(file), options);
  } catch (error) {
    if (error instanceof UnsupportedError || error.constructor === Error) throw error;
    throw new UnsupportedError(`the file is damaged, or of no known form: ${error.message}`);
  }
}
