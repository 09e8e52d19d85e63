import type { Payload, Queue } from "../contestants/contestant.ts"

/** A payload of so many bytes as JSON, or the number alone: 10 B for the numbers of the bench. */
export function payload(i: number, bytes = 10): Payload {
  if (bytes <= 10) return { i }
  return { i, pad: padding(bytes) }
}

const paddings = new Map<number, string>()

function padding(bytes: number): string {
  let text = paddings.get(bytes)
  if (text === undefined) {
    text = "x".repeat(Math.max(0, bytes - '{"i":12345,"pad":""}'.length))
    paddings.set(bytes, text)
  }
  return text
}

export function payloads(from: number, count: number, bytes?: number): Payload[] {
  return Array.from({ length: count }, (_, k) => payload(from + k, bytes))
}

/** Fills a queue by bulks of 500, two under way. */
export async function fill(queue: Queue, count: number, bytes?: number): Promise<void> {
  for (let from = 0; from < count; from += 1000) {
    const bulks = [from, from + 500]
      .filter((start) => start < count)
      .map((start) => queue.addMany(payloads(start, Math.min(500, count - start), bytes)))
    await Promise.all(bulks)
  }
}

/** Fills a queue job by job, a thousand calls at a time: each has its own trace context. */
export async function fillSingly(queue: Queue, count: number): Promise<void> {
  for (let from = 0; from < count; from += 1000)
    await Promise.all(payloads(from, Math.min(1000, count - from)).map((one) => queue.add(one)))
}
