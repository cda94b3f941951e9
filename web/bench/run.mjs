// SPDX-License-Identifier: MIT
// node run.mjs FOLDER SECONDS NAME...: times the networks of FOLDER, which models.py wrote, here and in Chromium.
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { argv, version } from "node:process";
import { fileURLToPath } from "node:url";
import { serve, withChromium } from "../test/browser.mjs";
import { measure } from "./measure.mjs";

const [folder, seconds, ...names] = argv.slice(2), require = createRequire(import.meta.url);

function table(where, rows) {
  console.log(`\n${where}\n${"network".padEnd(18)}${"convpool".padStart(12)}${"onnxruntime-web".padStart(22)}${"tfjs-backend-wasm".padStart(22)}`);
  const ratios = [];
  for (const row of rows) {
    const others = ["onnxruntime-web", "tfjs-backend-wasm"].map((name) => row[name]);
    ratios.push(Math.min(...others.map((other) => other.ratio)));
    const cells = others.map(({ microseconds, ratio }) => `${microseconds.toFixed(1)} us, ${ratio.toFixed(2)}x`.padStart(22));
    console.log(`${row.name.padEnd(18)}${`${row.convpool.microseconds.toFixed(1)} us`.padStart(12)}${cells.join("")}`);
  }
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  console.log(`times as fast as the faster of both: least ${Math.min(...ratios).toFixed(2)}, geometric mean ${mean.toFixed(2)}`);
}

async function inNode() {
  const { load } = await import("../dist/convpool.js"), ort = require("onnxruntime-web"), tf = require("@tensorflow/tfjs-core");
  const wasm = require("@tensorflow/tfjs-backend-wasm");
  ort.env.wasm.numThreads = 1;
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  return measure({ load, ort, tf }, names, async (name) => new Uint8Array(await readFile(join(folder, name))), seconds);
}

async function inChromium() {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const server = await serve({ "/web/": root, "/files/": folder });
  server.pages["/"] = `<!doctype html>
    <script src="/web/node_modules/@tensorflow/tfjs-core/dist/tf-core.min.js"></script>
    <script src="/web/node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>`;
  const rows = await withChromium(async (tab) => {
    await tab.goto(server.url);
    return tab.evaluate(async (names, seconds) => {
      const { load } = await import("/web/dist/convpool.js"), { measure } = await import("/web/bench/measure.mjs");
      const ort = await import("/web/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs");
      ort.env.wasm.numThreads = 1;
      tf.wasm.setWasmPaths("/web/node_modules/@tensorflow/tfjs-backend-wasm/dist/");
      tf.wasm.setThreadsCount(1);
      await tf.setBackend("wasm");
      const get = async (name) => new Uint8Array(await (await fetch(`/files/${name}`)).arrayBuffer());
      return measure({ load, ort, tf }, names, get, seconds);
    }, names, Number(seconds));
  });
  server.close();
  return rows;
}

table(`Node ${version}`, await inNode());
table("Chromium", await inChromium());
process.exit(); // TensorFlow.js leaves threads behind
