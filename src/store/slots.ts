const slotCount = 16_384

/** CRC16 of the XMODEM kind, by which a cluster spreads keys. */
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc
})

/** The slot of a cluster in which a key, or a sharded channel, lies: that of its hash tag, where it has one. */
export function slotOf(key: string): number {
  const open = key.indexOf("{")
  const close = open < 0 ? -1 : key.indexOf("}", open + 1)
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ byte]!
  return crc % slotCount
}

/** Puts together what may go in one call: what shares a slot, or everything where there are no slots. */
export function bySlot<T>(
  items: readonly T[],
  slot: ((key: string) => number) | undefined,
  keyOf: (item: T) => string,
): T[][] {
  if (!slot) return items.length > 0 ? [[...items]] : []
  const groups = new Map<number, T[]>()
  for (const item of items) {
    const at = slot(keyOf(item))
    const group = groups.get(at)
    if (group) group.push(item)
    else groups.set(at, [item])
  }
  return [...groups.values()]
}
