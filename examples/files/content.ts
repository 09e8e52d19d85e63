import { extname } from "node:path"

export type Kind = "empty" | "json" | "text" | "image" | "archive" | "program" | "binary"

const magic: readonly (readonly [Kind, string])[] = [
  ["image", "89504e47"],
  ["image", "ffd8ff"],
  ["image", "47494638"],
  ["image", "52494646"],
  ["archive", "1f8b"],
  ["archive", "504b0304"],
  ["archive", "28b52ffd"],
  ["program", "7f454c46"],
  ["program", "4d5a"],
  ["program", "cffaedfe"],
  ["program", "cafebabe"],
  ["program", "0061736d"],
]

/** Tells from its first bytes and its name what a file holds. */
export function kindOf(path: string, content: Uint8Array): Kind {
  if (content.length === 0) return "empty"
  const head = Buffer.from(content.subarray(0, 4)).toString("hex")
  const known = magic.find(([, start]) => head.startsWith(start))
  if (known) return known[0]
  if (content.subarray(0, 8192).includes(0)) return "binary"
  const extension = extname(path).toLowerCase()
  if (extension === ".svg") return "image"
  return extension === ".json" || extension === ".map" ? "json" : "text"
}
