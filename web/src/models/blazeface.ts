/** The face detector's network. */

import type { Network } from "../face/detect";
import { Tensor, openSession } from "./runtime";

export async function openBlazeface(model: Uint8Array): Promise<Network> {
  const session = await openSession(model);
  return async (values) => {
    const out = await session.run({ input: new Tensor("float32", values, [1, 128, 128, 3]) });
    return {
      regressors: out.regressors!.data as Float32Array,
      logits: out.classificators!.data as Float32Array,
    };
  };
}
