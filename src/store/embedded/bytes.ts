/**
 * Strings inside the embedded engine are byte strings: every character is one byte of the UTF-8 text (0 to 255).
 * So lengths and ranges count bytes, `<` orders like memcmp, and any byte, NUL included, crosses into Lua intact.
 */
export type Bytes = string

const beyondAscii = /[^\u0000-\u007f]/

/** Encodes text as UTF-8. Lone surrogates become U+FFFD, as they do on the way to a real server. */
export function toBytes(text: string): Bytes {
  return beyondAscii.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text
}

/** Decodes UTF-8; what is not valid becomes U+FFFD. */
export function fromBytes(bytes: Bytes): string {
  return beyondAscii.test(bytes) ? Buffer.from(bytes, "latin1").toString("utf8") : bytes
}
