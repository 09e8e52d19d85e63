import { SerializationError } from "../model/errors.ts"
import { describeThrown } from "./thrown.ts"

/** Turns values into text and back. Both may throw; what they throw becomes a `SerializationError`. */
export interface Serializer {
  serialize(value: unknown): string
  deserialize(text: string): unknown
}

/** The default: JSON, with JSON's semantics (dates become strings, `undefined` members vanish, NaN becomes null). */
export function json(): Serializer {
  return { serialize: serializeJson, deserialize: (text) => JSON.parse(text) }
}

function serializeJson(value: unknown): string {
  if (typeof value === "function" || typeof value === "symbol")
    throw new SerializationError(`a ${typeof value} cannot be carried as JSON`)
  return JSON.stringify(value)
}

/**
 * Texts as they are stored: without raw control characters, since those separate the parts of a record.
 * JSON never holds any. Other text that does is stored as "~" and its JSON, as is text that begins with "~".
 * The empty text stands for `undefined`.
 */
export interface Codec {
  encode(value: unknown, what: string): string
  decode(text: string, what: string): unknown
}

export function codec(serializer: Serializer): Codec {
  return {
    encode(value, what) {
      if (value === undefined) return ""
      return guard(what, "serialized", () => {
        const text: unknown = serializer.serialize(value)
        if (typeof text !== "string") throw new SerializationError("the serializer gave no text")
        return plain(text) ? text : `~${JSON.stringify(text)}`
      })
    },
    decode(text, what) {
      if (text === "") return undefined
      return guard(what, "read", () =>
        serializer.deserialize(text.startsWith("~") ? JSON.parse(text.slice(1)) : text),
      )
    },
  }
}

function plain(text: string): boolean {
  return text !== "" && text.charCodeAt(0) !== 0x7e && !/[\u0000-\u001f\ud800-\udfff]/u.test(text)
}

function guard<T>(what: string, verb: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    const { message } = describeThrown(error)
    throw new SerializationError(`${what} could not be ${verb}: ${message}`, { cause: error })
  }
}
