import { decode, encode } from "@msgpack/msgpack"
import type { Serializer } from "../../src/index.ts"

/** MessagePack is bytes, and a serializer gives text: base64 makes four characters of three bytes. Carries dates and bytes. */
export const msgpackSerializer: Serializer = {
  serialize: (value) => Buffer.from(encode(value)).toString("base64"),
  deserialize: (text) => decode(new Uint8Array(Buffer.from(text, "base64"))),
}
