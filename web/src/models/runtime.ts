/**
 * The only door to ONNX Runtime Web: its WASM backend, one thread, from this page's own files.
 *
 * The WASM builds hold no telemetry (unlike the official native ones), so there is nothing to switch off; the page's
 * Content-Security-Policy would refuse any request to elsewhere.
 */

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";

export { Tensor, type InferenceSession };

/** Load the engine. @param wasm content of ort-wasm-simd-threaded.wasm, or of that gzipped. */
export async function loadRuntime(wasm: Uint8Array<ArrayBuffer>): Promise<void> {
  env.wasm.wasmBinary = await unzip(wasm);
  env.wasm.numThreads = 1; // the networks are small: threads would cost more than they give
  env.wasm.proxy = false; // this is a worker already
  env.logLevel = "error";
}

/** Open a model. @throws with the runtime's own words when it cannot be loaded. */
export function openSession(model: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 3 });
}

/** Content of a gzip file; anything else as it is (a server may have unpacked it on the way). */
export async function unzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
