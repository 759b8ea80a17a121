// How the app is built: into the server's package, with hashed names, and packed beside each file for transport.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync, constants as zlib } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const STATIC = "../build/site";
const LEAST_PACKED = 1_000;
const IS_PACKED_ALREADY = /\.(woff2|png|webp|gz|br)$/;

/** Writes `name.br` and `name.gz` beside each file that gets smaller by it. */
function packed(): Plugin {
  function pack(folder: string): void {
    for (const name of readdirSync(folder)) {
      const file = join(folder, name);
      if (statSync(file).isDirectory()) pack(file);
      else if (!IS_PACKED_ALREADY.test(name) && name !== "index.html") packFile(file);
    }
  }
  function packFile(file: string): void {
    const plain = readFileSync(file);
    if (plain.length < LEAST_PACKED) return;
    const brotli = brotliCompressSync(plain, { params: { [zlib.BROTLI_PARAM_QUALITY]: 9 } });
    if (brotli.length > plain.length * 0.95) return;
    writeFileSync(`${file}.br`, brotli);
    writeFileSync(`${file}.gz`, gzipSync(plain, { level: 9 }));
  }
  return { name: "packed", apply: "build", closeBundle: () => pack(STATIC) };
}

export default defineConfig({
  base: "/",
  publicDir: "public",
  worker: { format: "es" },
  // A library of the viewer extends Node's EventEmitter, which Vite would replace by nothing.
  resolve: { alias: { events: "events/events.js" } },
  optimizeDeps: { exclude: ["@cornerstonejs/dicom-image-loader"], include: ["dicom-parser"] },
  build: {
    outDir: STATIC,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    manifest: "manifest.json",
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 6_000,
    reportCompressedSize: false,
  },
  plugins: [packed()],
  test: { include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
