// SPDX-License-Identifier: MIT
// Runs a program of WebAssembly in Node, with its arguments, the environment and all files: node wasi.mjs PROGRAM...
// Older versions of Node want --experimental-wasi-unstable-preview1.
import { readFile } from "node:fs/promises";
import { argv, env } from "node:process";
import { WASI } from "node:wasi";

const wasi = new WASI({ version: "preview1", args: argv.slice(2), env, preopens: { "/": "/" } });
const module = await WebAssembly.compile(await readFile(argv[2]));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport }));
