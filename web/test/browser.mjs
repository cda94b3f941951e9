// SPDX-License-Identifier: MIT
// A browser to try pages in, Chromium by puppeteer-core, and a server of static files.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import puppeteer from "puppeteer-core";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
  ".wasm": "application/wasm", ".json": "application/json", ".svg": "image/svg+xml" };

// Serves folders under prefixes: {"/": folder}; `pages` has text of its own. Isolated, so that clocks are finer.
export async function serve(folders) {
  const pages = {};
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
    const send = (status, type, body) => response.writeHead(status, { ...headers, "Content-Type": type }).end(body);
    if (path in pages) return send(200, "text/html", pages[path]);
    const prefix = Object.keys(folders).filter((prefix) => path.startsWith(prefix)).sort((a, b) => b.length - a.length)[0];
    const file = prefix && join(folders[prefix], path.slice(prefix.length) || "index.html");
    try {
      send(200, TYPES[extname(file)] ?? "application/octet-stream", await readFile(file));
    } catch {
      send(404, "text/plain", "no such file");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, pages, close: () => server.close() };
}

// Calls `use` with an empty tab. Its errors, and what it logs as one, are errors here, unless `quiet`.
export async function withChromium(use, { quiet = false } = {}) {
  const browser = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"],
    protocolTimeout: 600000 });
  const wrong = [];
  try {
    const tab = await browser.newPage();
    tab.on("pageerror", (error) => wrong.push(error));
    tab.on("console", (message) => message.type() === "error" && !/favicon/.test(message.location()?.url) && wrong.push(new Error(message.text())));
    const result = await use(tab, browser);
    if (wrong.length > 0 && !quiet) throw wrong[0];
    return result;
  } finally {
    await browser.close();
  }
}
