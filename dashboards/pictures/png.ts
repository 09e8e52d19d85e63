import { crc32, deflateSync, inflateSync } from "node:zlib"

/** Pixels of three bytes, row by row. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly rgb: Uint8Array
}

const signature = Buffer.from("89504e470d0a1a0a", "hex")
const colours = 256

/** Reads what Chromium writes, eight bits of red, green, blue and perhaps alpha, and what `writePng` does. */
export function readPng(png: Buffer): Picture {
  const parts = [...chunks(png)]
  const header = parts.find(({ type }) => type === "IHDR")?.data
  if (header === undefined || !png.subarray(0, 8).equals(signature)) throw new Error("this is no PNG")
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const channels = { 2: 3, 3: 1, 6: 4 }[header[9] ?? 0]
  const palette = parts.find(({ type }) => type === "PLTE")?.data
  if (header[8] !== 8 || channels === undefined || header[12] !== 0)
    throw new Error("this kind of PNG is not read here")
  const raw = inflateSync(Buffer.concat(parts.filter(({ type }) => type === "IDAT").map(({ data }) => data)))
  const lines = unfilter(raw, width * channels, channels)
  const rgb = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++)
      rgb[i * 3 + c] = palette ? palette[lines[i]! * 3 + c]! : lines[i * channels + c]!
  return { width, height, rgb }
}

/** Writes a picture with 256 colours, which takes a third of the space and looks alike. */
export function writePng({ width, height, rgb }: Picture): Buffer {
  const { palette, indexOf } = choosePalette(rgb)
  const raw = Buffer.alloc((width + 1) * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3
      raw[y * (width + 1) + 1 + x] = indexOf(rgb[at]!, rgb[at + 1]!, rgb[at + 2]!)
    }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 3], 8)
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flat())),
    chunk("IDAT", deflateSync(raw, { level: 9, memLevel: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ])
}

function* chunks(png: Buffer): Generator<{ readonly type: string; readonly data: Buffer }> {
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at)
    yield { type: png.toString("latin1", at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) }
    at += length + 12
  }
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}

/** Each line begins with the filter that it went through: differences to the left, to above, or to both. */
function unfilter(raw: Buffer, lineLength: number, step: number): Uint8Array {
  const height = raw.length / (lineLength + 1)
  const out = new Uint8Array(lineLength * height)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (lineLength + 1)] as number
    for (let x = 0; x < lineLength; x++) {
      const at = y * lineLength + x
      const left = x < step ? 0 : out[at - step]!
      const above = y === 0 ? 0 : out[at - lineLength]!
      const corner = x < step || y === 0 ? 0 : out[at - lineLength - step]!
      out[at] = raw[y * (lineLength + 1) + 1 + x]! + expected(filter, left, above, corner)
    }
  }
  return out
}

function expected(filter: number, left: number, above: number, corner: number): number {
  if (filter === 1) return left
  if (filter === 2) return above
  if (filter === 3) return (left + above) >> 1
  return filter === 4 ? paeth(left, above, corner) : 0
}

function paeth(left: number, above: number, corner: number): number {
  const [l, a, c] = [Math.abs(above - corner), Math.abs(left - corner), Math.abs(left + above - 2 * corner)]
  if (l <= a && l <= c) return left
  return a <= c ? above : corner
}

type Colour = readonly [red: number, green: number, blue: number]

/** The most frequent colours, of those that are nearly alike one; all others become the nearest of these. */
function choosePalette(rgb: Uint8Array) {
  const counts = new Map<number, number>()
  for (let i = 0; i < rgb.length; i += 3) {
    const key = (rgb[i]! << 16) | (rgb[i + 1]! << 8) | rgb[i + 2]!
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const byCount = [...counts].sort(([, a], [, b]) => b - a).map(([key]) => key)
  const palette: Colour[] = []
  for (const nearest of [24, 0])
    for (const key of byCount) {
      if (palette.length === colours) break
      const one: Colour = [key >> 16, (key >> 8) & 255, key & 255]
      if (palette.every((other) => distance(one, other) > nearest)) palette.push(one)
    }
  const known = new Map<number, number>()
  const indexOf = (red: number, green: number, blue: number): number => {
    const key = (red << 16) | (green << 8) | blue
    const found = known.get(key) ?? nearestOf([red, green, blue], palette)
    known.set(key, found)
    return found
  }
  return { palette, indexOf }
}

function nearestOf(colour: Colour, palette: readonly Colour[]): number {
  const distances = palette.map((other) => distance(colour, other))
  return distances.indexOf(Math.min(...distances))
}

function distance(a: Colour, b: Colour): number {
  return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
}
