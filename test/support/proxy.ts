import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

export type Direction = "requests" | "replies"
export type Fault = "request lost" | "reply lost" | "request late"

/** A fault that has happened. A late request reaches the server when `deliver` is called. */
export interface Landed {
  deliver(): Promise<void>
}

/** A TCP proxy before a Redis server, with the faults that networks have. */
export interface FaultyProxy {
  readonly port: number
  readonly url: string
  /** Connections that clients hold now. */
  readonly connections: number
  /** How long a chunk waits, in either direction; the order within one direction stays. */
  delayMs: number | ((chunk: Buffer) => number)
  /** New connections are ended at once. */
  refusing: boolean
  /** What is thrown away instead of passed on; both: half-open, since ends are not passed on either then. */
  readonly swallowed: Set<Direction>
  /** Where new connections lead; those that there are stay where they are. */
  target: number
  /** What has happened so far, as proof that a fault landed. */
  readonly counts: ProxyCounts
  /** Keeps everything back, in both directions, until it is let go; a cut throws away what was kept back. */
  hold(on: boolean): void
  /** Destroys every connection. */
  cut(): void
  /** Does this to the next request that contains the text (or all of the texts), and ends its connection; resolves when done. */
  strike(text: string | readonly string[], fault: Fault): Promise<Landed>
  /** Forgets what has not been struck yet; those who wait for it wait for ever. */
  spare(): void
  /** Sees each request that comes. */
  watch: ((chunk: Buffer) => void) | undefined
  stop(): Promise<void>
}

/** Chunks, but for `refused` and `cut`: connections. */
export interface ProxyCounts {
  refused: number
  cut: number
  requests: number
  replies: number
  swallowedRequests: number
  swallowedReplies: number
  delayed: number
}

interface Strike {
  readonly texts: readonly string[]
  readonly fault: Fault
  readonly land: (landed: Landed) => void
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** Set while the reply to a struck request is to be lost. */
  onReply: (() => void) | undefined
}

export async function startProxy(targetPort: number): Promise<FaultyProxy> {
  const pairs = new Set<Pair>()
  const strikes: Strike[] = []
  const late = new Set<Socket>()
  const counts: ProxyCounts = {
    refused: 0,
    cut: 0,
    requests: 0,
    replies: 0,
    swallowedRequests: 0,
    swallowedReplies: 0,
    delayed: 0,
  }
  let held = false

  // Without answering an end by an end of its own: a half-open socket's other side does not either.
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    if (proxy.refusing) {
      counts.refused++
      client.destroy()
      return
    }
    const pair: Pair = {
      client,
      server: connect({ port: proxy.target, host: "127.0.0.1", allowHalfOpen: true }),
      onReply: undefined,
    }
    pairs.add(pair)
    join(pair)
    if (held) pause(pair)
  })

  function join(pair: Pair): void {
    const { client, server } = pair
    client.setNoDelay(true)
    server.setNoDelay(true)
    const requests = inOrder()
    const replies = inOrder()
    client.on("data", (chunk) => requests(delayOf(chunk), () => request(pair, chunk)))
    server.on("data", (chunk) => replies(delayOf(chunk), () => reply(pair, chunk)))
    for (const socket of [client, server]) {
      socket.on("error", () => {
        // "close" follows.
      })
      const goOn = socket === client ? requests : replies
      socket.on("end", () => goOn(0, () => proxy.swallowed.size < 2 && end(pair)))
      socket.on("close", () => pairs.has(pair) && goOn(0, () => end(pair)))
    }
  }

  function pause({ client, server }: Pair): void {
    client.pause()
    server.pause()
  }

  function delayOf(chunk: Buffer): number {
    const ms = typeof proxy.delayMs === "number" ? proxy.delayMs : proxy.delayMs(chunk)
    if (ms > 0) counts.delayed++
    return ms
  }

  function request(pair: Pair, chunk: Buffer): void {
    counts.requests++
    proxy.watch?.(chunk)
    const index = strikes.findIndex(({ texts }) => texts.every((text) => chunk.includes(text)))
    if (index >= 0) hit(pair, chunk, strikes.splice(index, 1)[0]!)
    else if (proxy.swallowed.has("requests")) counts.swallowedRequests++
    else if (pair.server.writable) pair.server.write(chunk)
  }

  function hit(pair: Pair, chunk: Buffer, { fault, land }: Strike): void {
    if (fault === "request lost") {
      end(pair)
      land({ deliver: async () => {} })
    } else if (fault === "reply lost") {
      pair.onReply = () => {
        end(pair)
        land({ deliver: async () => {} })
      }
      pair.server.write(chunk)
    } else {
      const { server } = pair
      pairs.delete(pair)
      late.add(server)
      pair.client.destroy()
      land({ deliver: () => deliver(server, chunk) })
    }
  }

  async function deliver(server: Socket, chunk: Buffer): Promise<void> {
    server.removeAllListeners("data")
    const answered = once(server, "data")
    server.write(chunk)
    await answered
    late.delete(server)
    server.destroy()
  }

  function reply(pair: Pair, chunk: Buffer): void {
    counts.replies++
    if (pair.onReply) pair.onReply()
    else if (proxy.swallowed.has("replies")) counts.swallowedReplies++
    else if (pair.client.writable) pair.client.write(chunk)
  }

  function end(pair: Pair): void {
    pairs.delete(pair)
    pair.client.destroy()
    pair.server.destroy()
  }

  const proxy = {
    port: 0,
    url: "",
    delayMs: 0 as FaultyProxy["delayMs"],
    refusing: false,
    swallowed: new Set<Direction>(),
    target: targetPort,
    counts,
    hold(on: boolean) {
      held = on
      for (const pair of pairs) {
        if (on) pause(pair)
        else for (const socket of [pair.client, pair.server]) socket.resume()
      }
    },
    get connections() {
      return pairs.size
    },
    cut() {
      counts.cut += pairs.size
      for (const pair of pairs) end(pair)
    },
    watch: undefined as FaultyProxy["watch"],
    strike(text: string | readonly string[], fault: Fault) {
      const texts = typeof text === "string" ? [text] : text
      return new Promise<Landed>((land) => strikes.push({ texts, fault, land }))
    },
    spare() {
      strikes.length = 0
    },
    async stop() {
      proxy.cut()
      for (const server of late) server.destroy()
      listener.close()
      await once(listener, "close")
    },
  }

  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  proxy.port = (listener.address() as AddressInfo).port
  proxy.url = `redis://127.0.0.1:${proxy.port}`
  return proxy
}

/** Passes things on after their delays, none before an earlier one. */
function inOrder(): (delayMs: number, pass: () => void) => void {
  const queue: (() => void)[] = []
  let due = 0
  return (delayMs, pass) => {
    due = Math.max(due, performance.now() + delayMs)
    const waitMs = due - performance.now()
    if (queue.length === 0 && waitMs <= 0) return pass()
    queue.push(pass)
    // Timers of different lengths may swap; whichever fires passes on the oldest.
    setTimeout(() => queue.shift()?.(), waitMs)
  }
}
