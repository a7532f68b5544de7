import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { addAssets, stamp } from "./assets.mjs";

const outDir = fileURLToPath(new URL("../src/kdphys/serve/static", import.meta.url));

/** Engine and models beside the page, and a record of what it was built from. */
function kdphys(): Plugin {
  return {
    name: "kdphys",
    apply: "build",
    closeBundle() {
      for (const name of ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs"]) rmSync(`${outDir}/${name}`, { force: true });
      addAssets(outDir);
      stamp(outDir, { sources: true });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [kdphys(), noWasm()],
  worker: { format: "es", plugins: () => [noWasm()], rollupOptions: { output: { entryFileNames: "[name].js", assetFileNames: "[name][extname]" } } },
  build: {
    outDir,
    emptyOutDir: true,
    assetsInlineLimit: 0, // the Content-Security-Policy knows files only
    modulePreload: { polyfill: false },
    target: "es2022",
    chunkSizeWarningLimit: 1000,
    // Plain names: the server asks browsers to check for new files each time.
    rollupOptions: { output: { entryFileNames: "[name].js", chunkFileNames: "[name].js", assetFileNames: "[name][extname]" } },
  },
});

/** The engine is added compressed instead. */
function noWasm(): Plugin {
  return {
    name: "kdphys-no-wasm",
    generateBundle(_, bundle) {
      for (const name of Object.keys(bundle)) if (name.endsWith(".wasm")) delete bundle[name];
    },
  };
}
