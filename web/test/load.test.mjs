// SPDX-License-Identifier: MIT
// The package in Node, on the networks of the folder NETWORKS, which networks.py made: node --test.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { after, test } from "node:test";

const dist = fileURLToPath(new URL("../dist/", import.meta.url)), networks = env.NETWORKS;
const names = (await readdir(networks)).filter((name) => name.endsWith(".npz")).map((name) => name.slice(0, -4));
const read = (name) => readFile(join(networks, name));
const { load, UnsupportedError } = await import(pathToFileURL(join(dist, "convpool.js")));

// What an engine without SIMD loads, here by the name that this one asks for.
const folder = await mkdtemp(join(tmpdir(), "convpool-"));
await cp(join(dist, "convpool.js"), join(folder, "convpool.mjs"));
await cp(join(dist, "convpool-scalar.wasm"), join(folder, "convpool.wasm"));
const { load: loadScalar } = await import(pathToFileURL(join(folder, "convpool.mjs")));

// Of a result to the last bit, zeros of either sign alike, and any NaN.
function hash(y) {
  return createHash("sha256").update(Float32Array.from(y, (v) => (Number.isNaN(v) ? NaN : v + 0))).digest("hex");
}
async function run(net, name) {
  return net.run(new Float32Array((await read(`${name}.input`)).slice().buffer));
}

test("there are networks", () => assert.ok(names.length >= 14));

for (const name of names)
  test(`${name}: the bits of Python, with SIMD and without`, async () => {
    const bytes = await read(`${name}.npz`), expected = (await read(`${name}.hash`)).toString();
    for (const [isa, make] of [["wasm128", load], ["scalar", loadScalar]]) {
      const net = await make(bytes), stages = net.stages();
      for (const { kind, kernel } of stages) assert.match(kernel, kind === "layer" ? RegExp(`^${isa}-`) : /^$/);
      const y = await run(net, name);
      assert.equal(y.length, net.outputShape.reduce((a, b) => a * b, 1));
      assert.equal(y.length, stages.at(-1).outputShape.reduce((a, b) => a * b));
      assert.equal(hash(y), expected);
    }
  });

test("the first stages alone, and kernels by name", async () => {
  const bytes = await read("winograd.npz"), net = await load(bytes), direct = await load(bytes, { kernel: "direct" });
  assert.deepEqual(net.inputShape, [40, 44, 3]);
  assert.equal(net.layout, "HWC");
  assert.deepEqual(net.stages().map(({ kernel }) => kernel.replace("wasm128-", "")), ["direct", "winograd23", "winograd23", ""]);
  assert.deepEqual(direct.stages().map(({ kernel }) => kernel), ["wasm128-direct", "wasm128-direct", "wasm128-direct", ""]);
  const [a, b] = [await run(net, "winograd"), await run(direct, "winograd")], largest = Math.max(...a.map(Math.abs));
  a.forEach((y, i) => assert.ok(Math.abs(y - b[i]) < 1e-5 * largest));
  const first = await load(bytes, { stages: 2 });
  assert.deepEqual(first.outputShape, [20, 22, 40]);
  assert.equal(first.stages().length, 2);
  const image = await load(await read("image.npz"), { stages: 1 });
  assert.deepEqual([image.layout, image.outputShape], ["CHW", [5, 10, 7]]);
  await assert.rejects(load(bytes, { kernel: "avx2" }), UnsupportedError);
  await assert.rejects(load(bytes, { stages: 0 }), /no stage is left/);
});

test("an array for the result", async () => {
  const net = await load(await read("flat.npz")), x = new Float32Array(30).fill(0.5), out = new Float32Array(3);
  assert.equal(net.run(x, out), out);
  assert.deepEqual(out, net.run(x));
  assert.notEqual(net.run(x), net.run(x));
  assert.ok(Math.abs(out.reduce((a, b) => a + b) - 1) < 1e-6);
  net.stages()[0].kind = "other";
  assert.equal(net.stages()[0].kind, "layer");
});

test("networks do not share memory", async () => {
  const nets = await Promise.all(["flat", "seed", "flat", "pools"].map(async (name) => load(await read(`${name}.npz`))));
  const x = new Float32Array(30).fill(0.5), before = nets[0].run(x);
  await run(nets[1], "seed");
  await run(nets[3], "pools");
  assert.deepEqual(nets[0].run(x), before);
  assert.deepEqual(nets[2].run(x), before);
});

test("what is passed wrongly is named", async () => {
  const net = await load(await read("seed.npz")), x = new Float32Array(10000);
  assert.throws(() => net.run(new Float32Array(9999)), { name: "RangeError", message: /x must hold 10000 numbers, \[16, 25, 25\], not 9999/ });
  assert.throws(() => net.run(x, new Float32Array(1)), { name: "RangeError", message: /out must hold 4608 numbers, \[32, 12, 12\]/ });
  assert.throws(() => net.run([...x]), { name: "TypeError", message: /x must be a Float32Array/ });
  assert.throws(() => net.run(), TypeError);
  assert.throws(() => net.run(x, new Float64Array(4608)), TypeError);
  await assert.rejects(load(), TypeError);
  await assert.rejects(load("network.npz"), TypeError);
});

test("views and buffers of any offset", async () => {
  const bytes = await read("flat.npz"), moved = new Uint8Array(bytes.length + 3);
  moved.set(bytes, 3);
  const x = new Float32Array(30).fill(1), expected = (await load(bytes)).run(x);
  assert.deepEqual((await load(moved.subarray(3))).run(x), expected);
  assert.deepEqual((await load(moved.slice(3).buffer)).run(x), expected);
  assert.deepEqual((await load(new DataView(moved.buffer, 3))).run(x), expected);
});

test("files that are no network, cut off or damaged", async () => {
  for (const bytes of [new Uint8Array(), new Uint8Array(100), new TextEncoder().encode("PK\x05\x06 and no more than that")])
    await assert.rejects(load(bytes), UnsupportedError);
  const bytes = await read("pools.npz");
  for (let length = 0; length < bytes.length; length += 97)
    await assert.rejects(load(bytes.subarray(0, length)), UnsupportedError, `cut off after ${length}`);
  let refused = 0, state = 1;
  for (let i = 0; i < 1500; i++) {
    const copy = Uint8Array.from(bytes);
    for (let k = 0; k < 3; k++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      copy[state % copy.length] ^= 1 << (state >>> 29);
    }
    await load(copy).catch((error) => {
      assert.ok(error instanceof UnsupportedError || /test case fails/.test(error.message), error.stack);
      refused++;
    });
  }
  assert.ok(refused > 300, `${refused} refused`);
});

test("small", async () => {
  const size = async (name) => (await stat(join(dist, name))).size;
  assert.ok((await size("convpool.wasm")) <= 120000 && (await size("convpool-scalar.wasm")) <= 120000);
  assert.ok((await size("convpool.js")) <= 5000);
});
