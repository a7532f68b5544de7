/** What an ONNX file says about itself: its metadata, read from the protobuf without a library. */

/** Field of ModelProto with the metadata, a StringStringEntryProto (key 1, value 2). */
const METADATA = 14;

interface Field {
  number: number;
  bytes: Uint8Array | null; // of a length-delimited field
}

function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError("this is no ONNX file: it ends within a number");
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const kind = tag % 8;
    if (kind === 0) {
      varint();
      yield { number, bytes: null };
    } else if (kind === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new RangeError("this is no ONNX file: it ends within a field");
      yield { number, bytes: bytes.subarray(at, at + length) };
      at += length;
    } else if (kind === 1 || kind === 5) {
      at += kind === 1 ? 8 : 4;
      yield { number, bytes: null };
    } else throw new RangeError(`this is no ONNX file: unknown field type ${kind}`);
  }
}

/** The metadata of an ONNX file, by key. */
export function metadata(model: Uint8Array): Map<string, string> {
  const out = new Map<string, string>();
  const text = new TextDecoder();
  for (const field of fields(model)) {
    if (field.number !== METADATA || !field.bytes) continue;
    const entry = new Map(Array.from(fields(field.bytes), (part) => [part.number, part.bytes ? text.decode(part.bytes) : ""]));
    out.set(entry.get(1) ?? "", entry.get(2) ?? "");
  }
  return out;
}
