import type { Bytes } from "./bytes.ts"

/** Redis' glob patterns: `*`, `?`, `[a-c]`, `[^a]`, and `\` before a character that stands for itself. */
export function globPattern(pattern: Bytes): RegExp {
  let source = ""
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at]!
    const close = char === "[" ? pattern.indexOf("]", at + 1) : -1
    if (char === "*") source += ".*"
    else if (char === "?") source += "."
    else if (close > 0) {
      source += `[${pattern.slice(at + 1, close).replace(/[\\[]/g, "\\$&")}]`
      at = close
    } else source += escaped(char === "\\" && at + 1 < pattern.length ? pattern[++at]! : char)
  }
  return new RegExp(`^${source}$`, "s")
}

function escaped(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&")
}
