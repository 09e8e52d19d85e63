import superjson from "superjson"
import type { Serializer } from "../../src/index.ts"

/** Carries what JSON loses: dates, maps, sets, bigints, `undefined`, regular expressions. */
export const superjsonSerializer: Serializer = {
  serialize: (value) => superjson.stringify(value),
  deserialize: (text) => superjson.parse(text),
}
